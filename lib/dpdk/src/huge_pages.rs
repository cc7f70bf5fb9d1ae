//! Memory of the process's own in huge pages: large tables that one worker alone uses, and that are no slices of atomics.

/// Bytes of the pages that the range is rounded to.
const PAGE: usize = 4096;
/// Below, there is no huge page to be had.
const HUGE: usize = 2 << 20;

/// Asks the kernel to have `bytes` at `start`, which were written already, in transparent huge pages: a lookup in hundreds of megabytes of
/// small pages costs a TLB miss each time. Where there are none, or the kernel has no way to do it at once (before Linux 6.1), all
/// stays as it is.
pub fn prefer_huge_pages(start: *const u8, bytes: usize) {
    let first = start.addr().next_multiple_of(PAGE);
    let end = start.addr().saturating_add(bytes) & !(PAGE - 1);
    let Some(len) = end.checked_sub(first).filter(|len| *len >= HUGE) else {
        return;
    };
    let first = start.with_addr(first).cast_mut().cast();
    for advice in [libc::MADV_HUGEPAGE, libc::MADV_COLLAPSE] {
        // SAFETY: neither changes what any address holds, whether or not the range is mapped; a range that is not is refused.
        unsafe { libc::madvise(first, len, advice) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_keeps_what_it_holds_whatever_its_ends() {
        let memory: Vec<u32> = (0..3_000_001).collect();
        prefer_huge_pages(memory.as_ptr().cast(), size_of_val(&memory[..]));
        prefer_huge_pages(memory.as_ptr().cast(), 5);
        assert!(memory.iter().zip(0..).all(|(value, number)| *value == number));
    }
}
