//! Diffie-Hellman in the MODP groups 14, 15 and 16 (RFC 3526) for IKEv2.
//!
//! aws-lc-rs has no exponentiation, so this is the one place outside of DPDK and shared memory that calls C: the constant-time
//! exponentiation that AWS-LC has for RSA. Measured with modp2048 and an exponent of 320 bits it took 0.70 ms, that of
//! crypto-bigint 1.65 ms; a responder does two.
//!
//! ```
//! use modp::Group;
//!
//! // Exponents come from a generator of random numbers.
//! let (ours, theirs) = ([0xa1; 32], [0xb2; 32]);
//! let (our_public, their_public) = (Group::Modp2048.public(&ours)?, Group::Modp2048.public(&theirs)?);
//! let shared = Group::Modp2048.shared(&ours, &their_public)?;
//! assert_eq!(*shared, *Group::Modp2048.shared(&theirs, &our_public)?);
//! # Ok::<(), modp::Error>(())
//! ```

use zeroize::Zeroizing;

mod exponentiation;
mod primes;

/// A group. Its generator is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// Group 14, of 2048 bits.
    Modp2048,
    /// Group 15, of 3072 bits.
    Modp3072,
    /// Group 16, of 4096 bits.
    Modp4096,
}

/// Why there is no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A public value is as long as the prime, no more and no less (RFC 7296 §3.4).
    #[error("the public value has {given} bytes and the group's have {needed}")]
    Length {
        /// What it has.
        given: usize,
        /// What it is to have.
        needed: usize,
    },
    /// The public value is 0, 1, the prime less 1, or above (RFC 6989 §2.1).
    #[error("the public value is not between 1 and the prime less 1")]
    OutOfRange,
    /// The exponent is not as long as [`Group::exponent_len`] says.
    #[error("the exponent has {given} bytes; give {needed} random ones")]
    Exponent {
        /// What it has.
        given: usize,
        /// What it is to have.
        needed: usize,
    },
    /// There is no memory left.
    #[error("no memory for an exponentiation; free some")]
    Memory,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 3] = [Group::Modp2048, Group::Modp3072, Group::Modp4096];

    fn prime(self) -> &'static [u8] {
        match self {
            Group::Modp2048 => &primes::MODP_2048,
            Group::Modp3072 => &primes::MODP_3072,
            Group::Modp4096 => &primes::MODP_4096,
        }
    }

    /// Bytes of a public value, and of what two ends share.
    pub const fn len(self) -> usize {
        match self {
            Group::Modp2048 => 256,
            Group::Modp3072 => 384,
            Group::Modp4096 => 512,
        }
    }

    /// A group is never empty.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Bytes of an exponent: more than twice the strength of the group (112, 128 and 152 bits by NIST SP 800-57, 110, 130 and
    /// 150 by RFC 3526 §8). The primes are safe ones, so shorter exponents than the prime are no weakness.
    pub const fn exponent_len(self) -> usize {
        match self {
            Group::Modp2048 => 32,
            Group::Modp3072 => 36,
            Group::Modp4096 => 40,
        }
    }

    /// The public value of an exponent of [`Group::exponent_len`] random bytes, as long as the prime. Of those bits the first
    /// is taken as 1.
    pub fn public(self, exponent: &[u8]) -> Result<Vec<u8>, Error> {
        self.power(&[2], exponent).map(|public| public.to_vec())
    }

    /// What both ends share, as long as the prime (RFC 7296 §2.14), from our exponent and the peer's public value, which is
    /// checked first (RFC 6989 §2.1).
    pub fn shared(self, exponent: &[u8], public: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (given, needed) = (public.len(), self.len());
        if given != needed {
            return Err(Error::Length { given, needed });
        }
        // It is public, so this may take any time. The primes are odd: less 1 changes the last byte alone.
        let (zeros, last) = public.split_at(needed - 1);
        let small = zeros.iter().all(|byte| *byte == 0) && last <= &[1];
        let mut top = self.prime().to_vec();
        if let Some(last) = top.last_mut() {
            *last -= 1;
        }
        if small || public >= top.as_slice() {
            return Err(Error::OutOfRange);
        }
        self.power(public, exponent)
    }

    fn power(self, base: &[u8], exponent: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (given, needed) = (exponent.len(), self.exponent_len());
        if given != needed {
            return Err(Error::Exponent { given, needed });
        }
        let mut exponent = Zeroizing::new(exponent.to_vec());
        if let Some(first) = exponent.first_mut() {
            *first |= 0x80;
        }
        exponentiation::power(base, &exponent, self.prime()).ok_or(Error::Memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponents(group: Group) -> [Vec<u8>; 2] {
        let len = group.exponent_len() as u8;
        [(1..=len).collect(), (0..len).map(|at| 0xff - at).collect()]
    }

    /// First and last 8 bytes of a public and of a shared value, by big integers of Python and primes made by the formula.
    #[test]
    fn values_are_those_of_another_implementation() {
        let expected = [
            [
                (0x212c_df8c_27dc_1e3c, 0x866f_d4d1_9251_fdfd),
                (0xf846_263b_0ccd_7b7d, 0x2f7e_2697_ac38_68e7),
            ],
            [
                (0x3571_52d7_c250_4320, 0x500c_74a9_bae9_6679),
                (0x9891_5cf6_c8e1_e2dd, 0xe690_b8c3_2bb0_6d53),
            ],
            [
                (0x92c8_7ad7_52b4_a49b, 0xc3a1_fca0_bf8a_425b),
                (0x9c35_08ef_c545_dae9, 0xc699_1b39_1c7d_a036),
            ],
        ];
        for (group, [public, shared]) in Group::ALL.into_iter().zip(expected) {
            let [ours, theirs] = exponents(group);
            let ends = |value: &[u8]| {
                assert_eq!(value.len(), group.len());
                let (first, last) = (
                    value.first_chunk::<8>().unwrap(),
                    value.last_chunk::<8>().unwrap(),
                );
                (u64::from_be_bytes(*first), u64::from_be_bytes(*last))
            };
            let our_public = group.public(&ours).unwrap();
            assert_eq!(ends(&our_public), public, "{group:?}");
            let their_public = group.public(&theirs).unwrap();
            assert_eq!(
                ends(&group.shared(&ours, &their_public).unwrap()),
                shared,
                "{group:?}"
            );
            assert_eq!(
                ends(&group.shared(&theirs, &our_public).unwrap()),
                shared,
                "{group:?}"
            );
        }
    }

    #[test]
    fn public_values_that_give_the_secret_away_are_refused() {
        for group in Group::ALL {
            let [exponent, _] = exponents(group);
            let prime = group.prime().to_vec();
            let number = |low: u8| {
                let mut number = vec![0; group.len()];
                number[group.len() - 1] = low;
                number
            };
            let mut less_1 = prime.clone();
            less_1[group.len() - 1] -= 1;
            for public in [
                number(0),
                number(1),
                less_1.clone(),
                prime,
                vec![0xff; group.len()],
            ] {
                assert_eq!(group.shared(&exponent, &public), Err(Error::OutOfRange));
            }
            let mut less_2 = less_1;
            less_2[group.len() - 1] -= 1;
            assert!(group.shared(&exponent, &number(2)).is_ok());
            assert!(group.shared(&exponent, &less_2).is_ok());
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        for group in Group::ALL {
            let [exponent, _] = exponents(group);
            for given in [0, 1, group.len() - 1, group.len() + 1] {
                let refused = group.shared(&exponent, &vec![3; given]).unwrap_err();
                assert_eq!(
                    refused,
                    Error::Length {
                        given,
                        needed: group.len()
                    }
                );
            }
            for given in [0, group.exponent_len() - 1, group.exponent_len() + 1] {
                let refused = group.public(&vec![3; given]).unwrap_err();
                assert_eq!(
                    refused,
                    Error::Exponent {
                        given,
                        needed: group.exponent_len()
                    }
                );
            }
        }
    }
}
