//! Child SAs are what the data plane installs: the same names, and as many bytes of keys.

use esp::{Keys, Transform};
use ikev2::crypto::{ChildKeys, EspSuite, Nonces, Prf, Secret};
use ikev2::proposal::{Prefer, Proposal, choose};
use ikev2::wire::{ProtocolId, SaBuilder};

#[test]
fn every_transform_of_esp_is_negotiated_by_its_name_and_takes_the_keys() {
    for transform in Transform::ALL {
        let proposal = Proposal::parse(ProtocolId::ESP, transform.name()).unwrap();
        let mut sa = SaBuilder::new();
        proposal.write(1, &[1, 2, 3, 4], &mut sa).unwrap();
        let chosen = choose(&[proposal], &sa.view(), Prefer::Ours).unwrap();
        let suite = EspSuite::new(&chosen.transforms).unwrap();
        assert_eq!(suite.to_string().parse(), Ok(transform));
        assert!(!suite.has_extended_sequence_numbers() && suite.group().is_none());

        let nonces = Nonces {
            initiator: &[1; 32],
            responder: &[2; 32],
        };
        let sk_d = Secret::from(vec![3; 32]);
        let keys = ChildKeys::derive(Prf::HmacSha256, &sk_d, None, nonces, suite.key_len());
        for keys in [keys.initiator, keys.responder] {
            assert!(Keys::new(transform, keys.into_bytes()).is_ok(), "{transform}");
        }
    }
}
