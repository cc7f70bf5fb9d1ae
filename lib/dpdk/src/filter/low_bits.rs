//! Questions whether any of some low bits is set (JSET with a mask below 128), which DPDK's compiler gets wrong: it writes such a
//! mask as one byte, and x86's TEST always takes four. The machine code then goes on in the middle of an instruction, which ends
//! the process (22.11). So there is no such question in what DPDK gets: a bit is added that cannot be set, or, where every bit
//! may be, the bits are looked at in another way.

use super::classic::{BadProgram, Instruction};

const LOAD_IMMEDIATE: u16 = 0x00;
const LOAD_HALF: [u16; 2] = [0x28, 0x48];
const LOAD_BYTE: [u16; 2] = [0x30, 0x50];
const LOAD_SCRATCH: u16 = 0x60;
const LOADX_SCRATCH: u16 = 0x61;
const STORE: u16 = 0x02;
const STOREX: u16 = 0x03;
const AND: u16 = 0x54;
const SHIFT_RIGHT: u16 = 0x74;
const X_TO_A: u16 = 0x87;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_SET: u16 = 0x45;
/// Masks below are written as one byte.
const WIDE: u32 = 0x80;
/// Instructions that take the place of one question.
pub(super) const REPLACEMENT: usize = 7;

/// Whether DPDK would get it wrong.
pub(super) fn is_low(instruction: Instruction) -> bool {
    instruction.code == JUMP_IF_SET && instruction.k < WIDE
}

/// Adds a bit to masks that what they are held against cannot have. Those for which there is none stay low. The program must be
/// sound.
pub(super) fn widen(program: &[Instruction]) -> Vec<Instruction> {
    let bounds = bounds(program);
    let widened = program.iter().zip(bounds).map(|(instruction, bound)| {
        let mut instruction = *instruction;
        // All the bits that there may be, at least a byte's.
        let bits = u32::MAX >> (bound | 0xff).leading_zeros();
        if is_low(instruction) && bits < u32::MAX {
            instruction.k |= bits + 1;
        }
        instruction
    });
    widened.collect()
}

/// The largest that A may be before each instruction.
fn bounds(program: &[Instruction]) -> Vec<u32> {
    let mut bounds = vec![0u32; program.len()];
    for (at, instruction) in program.iter().enumerate() {
        let before = bounds[at];
        let k = instruction.k;
        let after = match instruction.code {
            code if LOAD_BYTE.contains(&code) => 0xff,
            code if LOAD_HALF.contains(&code) => 0xffff,
            LOAD_IMMEDIATE => k,
            AND => before.min(k),
            SHIFT_RIGHT => before >> k,
            X_TO_A => u32::MAX,
            // Other loads to A, and arithmetic. What is left does not change it.
            code if matches!(code & 7, 0x00 | 0x04) => u32::MAX,
            _ => before,
        };
        let (far, other) = instruction.jumps().unwrap_or_default();
        for next in [at + 1 + far, at + 1 + other] {
            // Behind a return there is nothing to come from it, and being too careful there harms nothing.
            if let Some(bound) = bounds.get_mut(next) {
                *bound = after.max(*bound);
            }
        }
    }
    bounds
}

/// A word of scratch memory that the program leaves alone. The program must be sound.
///
/// # Errors
/// It asks for low bits and uses all of them.
pub(super) fn free_word(program: &[Instruction]) -> Result<u32, BadProgram> {
    let is_used = |word: &u32| {
        program.iter().any(|instruction| {
            matches!(instruction.code, LOAD_SCRATCH | LOADX_SCRATCH | STORE | STOREX)
                && instruction.k == *word
        })
    };
    let asks = program.iter().position(|instruction| is_low(*instruction));
    match ((0..16).rev().find(|word| !is_used(word)), asks) {
        (Some(word), _) => Ok(word),
        (None, None) => Ok(0),
        (None, Some(at)) => Err(BadProgram::Operand {
            at,
            code: JUMP_IF_SET,
            k: program[at].k,
        }),
    }
}

/// The same question without a mask, that leaves A as it was; `word` is of scratch memory. It goes on `yes` or `other`
/// instructions behind its last.
pub(super) fn replacement(mask: u32, word: u32, yes: usize, other: usize) -> [Instruction; REPLACEMENT] {
    let instruction = |code, jt, jf, k| Instruction { code, jt, jf, k };
    let far = |skip: usize| u32::try_from(skip).unwrap_or(u32::MAX);
    [
        instruction(STORE, 0, 0, word),
        instruction(AND, 0, 0, mask),
        instruction(JUMP_IF_EQUAL, 2, 0, 0),
        instruction(LOAD_SCRATCH, 0, 0, word),
        instruction(JUMP, 0, 0, far(yes + 2)),
        instruction(LOAD_SCRATCH, 0, 0, word),
        instruction(JUMP, 0, 0, far(other)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    const RETURN: Instruction = Instruction {
        code: 0x16,
        jt: 0,
        jf: 0,
        k: 0,
    };

    /// The mask that a question behind these has in the end.
    fn mask_behind(mut before: Vec<Instruction>) -> u32 {
        before.extend([instruction(JUMP_IF_SET, 0, 0, 2), RETURN]);
        widen(&before)[before.len() - 2].k
    }

    #[test]
    fn a_bit_is_added_that_what_was_loaded_cannot_have() {
        for (before, expected) in [
            (vec![instruction(0x30, 0, 0, 0)], 0x102),
            (vec![instruction(0x28, 0, 0, 0)], 0x1_0002),
            // All 32 bits may be set.
            (vec![instruction(0x20, 0, 0, 0)], 2),
            (vec![instruction(0x87, 0, 0, 0)], 2),
            (
                vec![instruction(0x20, 0, 0, 0), instruction(AND, 0, 0, 0x0f)],
                0x102,
            ),
            (
                vec![instruction(0x20, 0, 0, 0), instruction(SHIFT_RIGHT, 0, 0, 1)],
                0x8000_0002,
            ),
            (vec![instruction(0x30, 0, 0, 0), instruction(0x0c, 0, 0, 0)], 2),
            (vec![instruction(LOAD_IMMEDIATE, 0, 0, 0x1234)], 0x2002),
        ] {
            assert_eq!(mask_behind(before.clone()), expected, "{before:?}");
        }
    }

    #[test]
    fn each_way_to_a_question_counts() {
        // One way loads a byte, the other a word.
        let ways = vec![
            instruction(0x30, 0, 0, 0),
            instruction(JUMP_IF_EQUAL, 1, 0, 7),
            instruction(0x20, 0, 0, 0),
        ];
        assert_eq!(mask_behind(ways), 2);
    }

    #[test]
    fn masks_that_are_right_stay() {
        let program = [
            instruction(0x30, 0, 0, 0),
            instruction(JUMP_IF_SET, 0, 0, WIDE),
            instruction(JUMP_IF_EQUAL, 0, 0, 1),
            RETURN,
        ];
        assert_eq!(widen(&program), program);
    }

    #[test]
    fn a_program_that_uses_all_scratch_memory_is_refused() {
        let mut program: Vec<_> = (0..15).map(|word| instruction(STORE, 0, 0, word)).collect();
        program.extend([instruction(JUMP_IF_SET, 0, 0, 1), RETURN]);
        assert_eq!(free_word(&program), Ok(15));
        program.insert(0, instruction(STOREX, 0, 0, 15));
        assert!(free_word(&program).is_err());
    }
}
