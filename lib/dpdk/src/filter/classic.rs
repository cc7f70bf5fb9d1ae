//! Classic BPF: what a program may be before DPDK sees it.
//!
//! DPDK's converter takes programs as libpcap compiles them and believes what they say. A program of unknown origin could
//! make its machine code read before a packet (an offset beyond 2^31 is taken for a negative one) or walk past its last
//! segment (an offset near 2^32 wraps), could make it jump where no instruction begins, and could keep DPDK's verifier busy
//! for hours. So what cannot be made safe is refused here, and the rest is rewritten.

use super::low_bits;

/// One instruction, as libpcap's `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, size, mode, operation.
    pub code: u16,
    /// Instructions to skip if the condition holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// The most instructions, BPF_MAXINSNS.
pub const MOST_INSTRUCTIONS: usize = 4096;
/// The most ways through a program. DPDK's verifier goes them one by one: so many take it some ten milliseconds.
pub const MOST_PATHS: u64 = 1 << 22;
/// No packet is longer: a computed offset beyond it matches nothing.
const LONGEST_PACKET: u32 = 0xffff;

/// Why a program is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProgram {
    /// Empty, or longer than [`MOST_INSTRUCTIONS`].
    #[error("the filter has {0} instructions: it must have 1 to {MOST_INSTRUCTIONS}")]
    Length(usize),
    /// No such operation, or one that filters here have not: Linux's ancillary data.
    #[error("instruction {at} of the filter has the unknown operation {code:#06x}")]
    Operation {
        /// Which instruction, from 0.
        at: usize,
        /// Its code.
        code: u16,
    },
    /// An operand that the operation cannot have: division by zero, a shift by 32 or more, a scratch word from 16 on, or an
    /// offset from 2^31 on.
    #[error("instruction {at} of the filter ({code:#06x}) cannot have the operand {k:#x}")]
    Operand {
        /// Which instruction, from 0.
        at: usize,
        /// Its code.
        code: u16,
        /// Its operand.
        k: u32,
    },
    /// A jump past the end.
    #[error("instruction {at} of the filter jumps past the end")]
    Jump {
        /// Which instruction, from 0.
        at: usize,
    },
    /// The last instruction is no return.
    #[error("the filter does not end with a return")]
    NoReturn,
    /// More ways through it than [`MOST_PATHS`].
    #[error("the filter has more than {MOST_PATHS} ways through it: split it into several captures")]
    Paths,
    /// A jump that is too far for one instruction once the comparisons are in.
    #[error("instruction {at} of the filter jumps too far: split it into several captures")]
    Distance {
        /// Which instruction, from 0.
        at: usize,
    },
}

// Classes.
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;
// Sizes.
const W: u16 = 0x00;
const H: u16 = 0x08;
const B: u16 = 0x10;
// Modes.
const IMM: u16 = 0x00;
const ABS: u16 = 0x20;
const IND: u16 = 0x40;
const MEM: u16 = 0x60;
const LEN: u16 = 0x80;
const MSH: u16 = 0xa0;
// Operations.
const ADD: u16 = 0x00;
const SUB: u16 = 0x10;
const MUL: u16 = 0x20;
const DIV: u16 = 0x30;
const OR: u16 = 0x40;
const AND: u16 = 0x50;
const LSH: u16 = 0x60;
const RSH: u16 = 0x70;
const NEG: u16 = 0x80;
const MOD: u16 = 0x90;
const XOR: u16 = 0xa0;
const JA: u16 = 0x00;
const JEQ: u16 = 0x10;
const JGT: u16 = 0x20;
const JGE: u16 = 0x30;
const JSET: u16 = 0x40;
// Operands.
const K: u16 = 0x00;
const X: u16 = 0x08;
const A: u16 = 0x10;
const RET_K: u16 = RET | K;
const RET_A: u16 = RET | A;
const TAX: u16 = 0x00;
const TXA: u16 = 0x80;

/// Words of scratch memory.
const SCRATCH: u32 = 16;

impl Instruction {
    const fn new(code: u16, jt: u8, jf: u8, k: u32) -> Self {
        Self { code, jt, jf, k }
    }

    fn is_return(self) -> bool {
        self.code & 7 == RET
    }

    /// A load whose offset is computed.
    fn is_indirect(self) -> bool {
        self.code & 7 == LD && self.code & 0xe0 == IND
    }

    /// How far it may jump, by its two or one ways; `None` when it goes on to the next.
    pub(super) fn jumps(self) -> Option<(usize, usize)> {
        match self.code {
            code if code & 7 != JMP => None,
            code if code == JMP | JA => {
                let far = usize::try_from(self.k).unwrap_or(usize::MAX);
                Some((far, far))
            }
            _ => Some((self.jt.into(), self.jf.into())),
        }
    }

    /// Whether there is such an operation, and with such an operand.
    fn check(self, at: usize) -> Result<(), BadProgram> {
        let Self { code, k, .. } = self;
        let good = match (code & 7, code & !7) {
            (LD, mode) if (mode & 0xe0 == ABS || mode & 0xe0 == IND) && matches!(mode & 0x1f, W | H | B) => {
                k < 1 << 31
            }
            (LDX, mode) if mode == MSH | B => k < 1 << 31,
            (LD | LDX, IMM) => true,
            (LD | LDX, mode) if mode == LEN | W => true,
            (LD | LDX, MEM) | (ST | STX, 0) => k < SCRATCH,
            (ALU, operation) if matches!(operation & !X, ADD | SUB | MUL | OR | AND | XOR) => true,
            (ALU, operation) if matches!(operation & !X, DIV | MOD) => operation & X != 0 || k != 0,
            (ALU, operation) if matches!(operation & !X, LSH | RSH) => operation & X != 0 || k < 32,
            (ALU, NEG) => true,
            (JMP, JA) => true,
            (JMP, operation) if matches!(operation & !X, JEQ | JGT | JGE | JSET) => true,
            (RET, K | A) => true,
            (MISC, TAX | TXA) => true,
            _ => return Err(BadProgram::Operation { at, code }),
        };
        good.then_some(()).ok_or(BadProgram::Operand { at, code, k })
    }
}

/// Checks a program and makes one of it that DPDK compiles rightly: the same filter for every packet of at most 65,535
/// bytes, with a comparison before each load from a computed offset, without questions that DPDK's compiler gets wrong (see
/// [`low_bits`]), and with one return, at the end. DPDK's compiler
/// makes each further return a jump back to the first, and jumps of about 128 bytes back lead somewhere else (22.11).
pub fn harden(program: &[Instruction]) -> Result<Vec<Instruction>, BadProgram> {
    check(program)?;
    let program = &low_bits::widen(program);
    let word = low_bits::free_word(program)?;
    // Where each instruction will be, and what comes before it.
    let mut places = Vec::with_capacity(program.len() + 1);
    let mut end = 0;
    for instruction in program {
        places.push(end);
        end += length(*instruction);
    }
    // The last return needs no jump to where it is.
    end -= 1;
    let mut hardened = Vec::with_capacity(end + 1);
    let leave = |from: usize| Instruction::new(JMP | JA, 0, 0, end.saturating_sub(from + 1) as u32);
    for (at, instruction) in program.iter().enumerate() {
        let mut instruction = *instruction;
        match instruction.code {
            RET_K => {
                hardened.push(Instruction::new(LD | IMM, 0, 0, instruction.k));
                hardened.push(leave(hardened.len()));
                continue;
            }
            RET_A => {
                hardened.push(leave(hardened.len()));
                continue;
            }
            _ if instruction.is_indirect() => {
                // No match when X is beyond all packets. The load overwrites A, so A is free.
                hardened.push(Instruction::new(MISC | TXA, 0, 0, 0));
                hardened.push(Instruction::new(JMP | JGT | K, 0, 2, LONGEST_PACKET));
                hardened.push(Instruction::new(LD | IMM, 0, 0, 0));
                hardened.push(leave(hardened.len()));
            }
            _ => {}
        }
        if let Some((far, other)) = instruction.jumps() {
            let distance = |skip: usize| places[at + 1 + skip] - places[at] - length(instruction);
            if low_bits::is_low(instruction) {
                let replacement = low_bits::replacement(instruction.k, word, distance(far), distance(other));
                hardened.extend(replacement);
                continue;
            }
            if instruction.code == JMP | JA {
                instruction.k = distance(far) as u32;
            } else {
                let byte = |skip| u8::try_from(distance(skip)).map_err(|_| BadProgram::Distance { at });
                (instruction.jt, instruction.jf) = (byte(far)?, byte(other)?);
            }
        }
        hardened.push(instruction);
    }
    hardened.truncate(end);
    hardened.push(Instruction::new(RET_A, 0, 0, 0));
    if hardened.len() > MOST_INSTRUCTIONS {
        return Err(BadProgram::Length(hardened.len()));
    }
    Ok(hardened)
}

/// How many instructions one becomes.
fn length(instruction: Instruction) -> usize {
    match instruction.code {
        RET_K => 2,
        _ if instruction.is_indirect() => 5,
        _ if low_bits::is_low(instruction) => low_bits::REPLACEMENT,
        _ => 1,
    }
}

fn check(program: &[Instruction]) -> Result<(), BadProgram> {
    if program.is_empty() || program.len() > MOST_INSTRUCTIONS {
        return Err(BadProgram::Length(program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        instruction.check(at)?;
        let longest = instruction.jumps().map(|(far, other)| far.max(other));
        if longest.is_some_and(|far| far >= program.len() - at - 1) {
            return Err(BadProgram::Jump { at });
        }
    }
    if !program.last().is_some_and(|last| last.is_return()) {
        return Err(BadProgram::NoReturn);
    }
    // All jumps go forward, so from the end: how many ways lead from an instruction to a return.
    let mut paths = vec![0u64; program.len()];
    for (at, instruction) in program.iter().enumerate().rev() {
        paths[at] = match instruction.jumps() {
            _ if instruction.is_return() => 1,
            None => paths[at + 1],
            Some((far, other)) if far == other => paths[at + 1 + far],
            Some((far, other)) => paths[at + 1 + far].saturating_add(paths[at + 1 + other]),
        };
    }
    if paths[0] > MOST_PATHS {
        return Err(BadProgram::Paths);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCEPT: Instruction = Instruction::new(RET | K, 0, 0, 1);

    #[test]
    fn what_dpdk_would_believe_is_refused() {
        let refused = |instruction: Instruction| check(&[instruction, ACCEPT]).unwrap_err();
        for (code, k) in [
            (LD | ABS | B, 1 << 31),
            (LD | IND | W, u32::MAX),
            (LDX | MSH | B, 1 << 31),
            (LD | MEM, 16),
            (STX, 16),
            (ALU | DIV | K, 0),
            (ALU | MOD | K, 0),
            (ALU | LSH | K, 32),
        ] {
            let instruction = Instruction::new(code, 0, 0, k);
            assert_eq!(refused(instruction), BadProgram::Operand { at: 0, code, k });
        }
        for code in [
            LD | MSH | B,
            LDX | ABS | W,
            RET | 0x18,
            MISC | 0x40,
            0xffff,
            ALU | 0xf0,
        ] {
            let instruction = Instruction::new(code, 0, 0, 0);
            assert_eq!(refused(instruction), BadProgram::Operation { at: 0, code });
        }
        assert_eq!(
            refused(Instruction::new(JMP | JA, 0, 0, 1)),
            BadProgram::Jump { at: 0 }
        );
        assert_eq!(
            refused(Instruction::new(JMP | JA, 0, 0, u32::MAX)),
            BadProgram::Jump { at: 0 }
        );
        assert_eq!(
            refused(Instruction::new(JMP | JEQ | K, 0, 1, 0)),
            BadProgram::Jump { at: 0 }
        );
        assert_eq!(check(&[]), Err(BadProgram::Length(0)));
        assert_eq!(check(&[ACCEPT; 4097]), Err(BadProgram::Length(4097)));
        assert_eq!(
            check(&[Instruction::new(LD | IMM, 0, 0, 0)]),
            Err(BadProgram::NoReturn)
        );
    }

    #[test]
    fn ways_through_a_program_are_counted_without_going_them() {
        // Each pair doubles the ways: jump over a load, or not.
        let pair = [
            Instruction::new(JMP | JEQ | K, 1, 0, 0),
            Instruction::new(LD | IMM, 0, 0, 7),
        ];
        let program = |pairs: usize| [vec![pair; pairs].concat(), vec![ACCEPT]].concat();
        assert_eq!(check(&program(22)), Ok(()));
        assert_eq!(check(&program(23)), Err(BadProgram::Paths));
        assert_eq!(check(&program(2000)), Err(BadProgram::Paths));
    }

    #[test]
    fn a_load_with_a_computed_offset_is_guarded_and_jumps_still_lead_where_they_led() {
        let load = Instruction::new(LD | IND | B, 0, 0, 14);
        let program = [
            Instruction::new(JMP | JEQ | K, 1, 0, 5),
            load,
            Instruction::new(JMP | JA, 0, 0, 1),
            load,
            ACCEPT,
        ];
        let hardened = harden(&program).unwrap();
        let guard = |to_end| {
            [
                Instruction::new(MISC | TXA, 0, 0, 0),
                Instruction::new(JMP | JGT | K, 0, 2, 0xffff),
                Instruction::new(LD | IMM, 0, 0, 0),
                Instruction::new(JMP | JA, 0, 0, to_end),
                load,
            ]
        };
        let expected = [
            &[Instruction::new(JMP | JEQ | K, 5, 0, 5)],
            guard(8).as_slice(),
            &[Instruction::new(JMP | JA, 0, 0, 5)],
            &guard(2),
            &[
                Instruction::new(LD | IMM, 0, 0, 1),
                Instruction::new(RET_A, 0, 0, 0),
            ],
        ]
        .concat();
        assert_eq!(hardened, expected);
    }

    #[test]
    fn a_program_has_one_return_at_its_end() {
        let program = [
            Instruction::new(JMP | JEQ | K, 0, 1, 5),
            Instruction::new(RET_A, 0, 0, 0),
            Instruction::new(JMP | JEQ | K, 0, 1, 6),
            ACCEPT,
            Instruction::new(RET_K, 0, 0, 0),
        ];
        let expected = [
            Instruction::new(JMP | JEQ | K, 0, 1, 5),
            Instruction::new(JMP | JA, 0, 0, 4),
            Instruction::new(JMP | JEQ | K, 0, 2, 6),
            Instruction::new(LD | IMM, 0, 0, 1),
            Instruction::new(JMP | JA, 0, 0, 1),
            Instruction::new(LD | IMM, 0, 0, 0),
            Instruction::new(RET_A, 0, 0, 0),
        ];
        assert_eq!(harden(&program).unwrap(), expected);
    }
}
