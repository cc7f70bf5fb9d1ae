//! Exponentiation by AWS-LC: what of it is unsafe, and nothing else.

use std::ptr::{self, NonNull};

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_MONT_CTX, BN_MONT_CTX_free, BN_MONT_CTX_new_for_modulus,
    BN_bin2bn, BN_bn2bin_padded, BN_clear_free, BN_mod_exp_mont_consttime, BN_new,
};
use zeroize::Zeroizing;

/// A number of AWS-LC's, wiped when it is freed.
struct Number(NonNull<BIGNUM>);

impl Number {
    fn zero() -> Option<Number> {
        // SAFETY: takes nothing; gives a number that we own, or null.
        NonNull::new(unsafe { BN_new() }).map(Number)
    }

    /// As wide as `bytes` are, zeros at their front included: the time that it takes to use it says nothing of those.
    fn from_bytes(bytes: &[u8]) -> Option<Number> {
        // SAFETY: reads as many bytes as the slice has; null asks for a number of its own, which we own, or null if there is no
        // memory.
        NonNull::new(unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), ptr::null_mut()) }).map(Number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody has it any more.
        unsafe { BN_clear_free(self.0.as_ptr()) }
    }
}

/// Scratch space of AWS-LC's.
struct Context(NonNull<BN_CTX>);

impl Context {
    fn new() -> Option<Context> {
        // SAFETY: takes nothing; gives a context that we own, or null.
        NonNull::new(unsafe { BN_CTX_new() }).map(Context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody has it any more.
        unsafe { BN_CTX_free(self.0.as_ptr()) }
    }
}

/// What Montgomery multiplication needs to know of a modulus.
struct Montgomery(NonNull<BN_MONT_CTX>);

impl Montgomery {
    fn new(modulus: &Number, context: &mut Context) -> Option<Montgomery> {
        // SAFETY: both are valid, and the context is ours alone; what it gives is ours, or null. Neither is kept.
        NonNull::new(unsafe { BN_MONT_CTX_new_for_modulus(modulus.0.as_ptr(), context.0.as_ptr()) })
            .map(Montgomery)
    }
}

impl Drop for Montgomery {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody has it any more.
        unsafe { BN_MONT_CTX_free(self.0.as_ptr()) }
    }
}

/// `base` to the power of `exponent` modulo `modulus`, big-endian and as long as that. The time depends on the lengths, and not on
/// what base and exponent are. `None`: no memory, an even modulus, or a base that is not below it.
pub(crate) fn power(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut context = Context::new()?;
    let (base, exponent) = (Number::from_bytes(base)?, Number::from_bytes(exponent)?);
    let len = modulus.len();
    let modulus = Number::from_bytes(modulus)?;
    let montgomery = Montgomery::new(&modulus, &mut context)?;
    let result = Number::zero()?;
    // SAFETY: all numbers are valid, the result and the context are ours alone, and the Montgomery context is of this modulus. It
    // checks that the modulus is odd and the base below it.
    let done = unsafe {
        BN_mod_exp_mont_consttime(
            result.0.as_ptr(),
            base.0.as_ptr(),
            exponent.0.as_ptr(),
            modulus.0.as_ptr(),
            context.0.as_ptr(),
            montgomery.0.as_ptr(),
        )
    };
    let mut bytes = Zeroizing::new(vec![0; len]);
    // SAFETY: writes exactly `len` bytes, which are there, and reads a valid number.
    let written = done == 1 && unsafe { BN_bn2bin_padded(bytes.as_mut_ptr(), len, result.0.as_ptr()) } == 1;
    written.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::power;

    #[test]
    fn small_powers_are_right_and_padded() {
        assert_eq!(power(&[3], &[5], &[0, 101]).unwrap().as_slice(), [0, 243 % 101]);
        // Zeros in front change nothing.
        assert_eq!(
            power(&[0, 0, 3], &[0, 0, 0, 5], &[101]).unwrap().as_slice(),
            [243 - 202]
        );
    }

    #[test]
    fn even_moduli_and_bases_above_are_refused() {
        assert_eq!(power(&[3], &[5], &[100]), None);
        assert_eq!(power(&[101], &[5], &[101]), None);
        assert_eq!(power(&[102], &[5], &[101]), None);
    }
}
