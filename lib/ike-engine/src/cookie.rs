//! Cookies: state that a stranger keeps for us (RFC 7296 §2.6).
//!
//! ```text
//!   cookie = number of the secret, 1 byte │ prf(secret, Ni │ address │ SPIi)
//! ```

use std::net::IpAddr;
use std::time::Duration;

use ikev2::crypto::{Prf, Random, Secret, equal};
use ikev2::wire::IkeSpi;

use crate::Time;

/// A secret makes cookies for so long, and as long again takes them.
const SECRET_LIFETIME: Duration = Duration::from_secs(60);

/// The secrets that cookies are made with.
#[derive(Debug, Default)]
pub(crate) struct Cookies {
    number: u8,
    current: Option<(Time, Secret)>,
    previous: Option<(Time, Secret)>,
}

fn of(number: u8, secret: &Secret, nonce: &[u8], source: IpAddr, spi: IkeSpi) -> Vec<u8> {
    let address: Vec<u8> = match source {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mac = Prf::HmacSha256.apply(secret.expose(), &[nonce, &address, &spi.0]);
    [&[number], mac.expose()].concat()
}

impl Cookies {
    /// The cookie for who sends this nonce and SPI from this address.
    pub(crate) fn make(
        &mut self,
        now: Time,
        random: &mut impl Random,
        nonce: &[u8],
        source: IpAddr,
        spi: IkeSpi,
    ) -> Vec<u8> {
        self.expire(now);
        let number = self.number;
        let (_, secret) = self.current.get_or_insert_with(|| {
            let mut bytes = vec![0; 32];
            random.fill(&mut bytes);
            (now, Secret::from(bytes))
        });
        of(number, secret, nonce, source, spi)
    }

    /// Whether it was made here for the same, not long ago.
    pub(crate) fn is_valid(
        &mut self,
        now: Time,
        cookie: &[u8],
        nonce: &[u8],
        source: IpAddr,
        spi: IkeSpi,
    ) -> bool {
        self.expire(now);
        let valid = |number: u8, secret: &Option<(Time, Secret)>| {
            secret
                .as_ref()
                .is_some_and(|(_, secret)| equal(&of(number, secret, nonce, source, spi), cookie))
        };
        match cookie.first() {
            Some(number) if *number == self.number => valid(*number, &self.current),
            Some(number) if *number == self.number.wrapping_sub(1) => valid(*number, &self.previous),
            _ => false,
        }
    }

    fn expire(&mut self, now: Time) {
        let old = |made: Time, age: Duration| now.since(made) >= age;
        if self
            .current
            .as_ref()
            .is_some_and(|(made, _)| old(*made, SECRET_LIFETIME))
        {
            self.previous = self.current.take();
            self.number = self.number.wrapping_add(1);
        }
        if self
            .previous
            .as_ref()
            .is_some_and(|(made, _)| old(*made, 2 * SECRET_LIFETIME))
        {
            self.previous = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_one_address_nonce_and_spi_and_not_for_long() {
        let mut cookies = Cookies::default();
        let mut random = |bytes: &mut [u8]| bytes.fill(7);
        let (source, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let spi = IkeSpi([1; 8]);
        let at = |seconds: u64| Time::from_millis(seconds * 1000);
        let cookie = cookies.make(at(0), &mut random, &[1; 32], source, spi);
        assert!(cookies.is_valid(at(59), &cookie, &[1; 32], source, spi));
        assert!(!cookies.is_valid(at(59), &cookie, &[2; 32], source, spi));
        assert!(!cookies.is_valid(at(59), &cookie, &[1; 32], other, spi));
        assert!(!cookies.is_valid(at(59), &cookie, &[1; 32], source, IkeSpi([2; 8])));
        assert!(!cookies.is_valid(at(59), &cookie[..32], &[1; 32], source, spi));
        assert!(!cookies.is_valid(at(59), &[], &[1; 32], source, spi));
        // The next secret makes others, and the old ones are taken for another minute.
        assert!(cookies.is_valid(at(61), &cookie, &[1; 32], source, spi));
        assert_ne!(cookies.make(at(61), &mut random, &[1; 32], source, spi), cookie);
        assert!(cookies.is_valid(at(119), &cookie, &[1; 32], source, spi));
        assert!(!cookies.is_valid(at(120), &cookie, &[1; 32], source, spi));
    }
}
