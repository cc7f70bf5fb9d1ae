//! SAs that can be, and by which packets do not go as whoever wrote them may expect.

use crate::message::{Sa, SaDirection, SaId};

/// The port at which ESP in UDP is taken, RFC 3948 section 2.1.
const ESP_IN_UDP: u16 = 4500;

/// Why no packet goes by an SA, or none in UDP. Each sentence says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaIdle {
    /// Packets come to an SA by the tunnel that it protects, and what comes by it comes out of that.
    #[error(
        "the SA with {0} protects nothing, as it names no tunnel: delete it, and add it with 'tunnel NAME'"
    )]
    NoTunnel(SaId),
    /// Nobody looks for ESP there.
    #[error(
        "the SA with {id} is to come in UDP to port {port}, and ESP in UDP is taken at port {ESP_IN_UDP} only: delete it, and add it with \
         'udp {source_port}:{ESP_IN_UDP}'"
    )]
    UdpPort {
        /// The SA.
        id: SaId,
        /// The source port that it says.
        source_port: u16,
        /// The destination port that it says.
        port: u16,
    },
}

impl SaIdle {
    /// In a few words.
    pub fn brief(self) -> &'static str {
        match self {
            Self::NoTunnel(_) => "protects nothing",
            Self::UdpPort { .. } => "never in UDP",
        }
    }
}

/// Why no packet goes by an SA, or none in UDP, if so. It is not refused: packets that come otherwise, as to
/// the port that is looked at, go by it all the same, and one without a tunnel does no harm.
pub fn idle(sa: &Sa) -> Option<SaIdle> {
    let id = sa.id();
    if sa.tunnel.is_none() {
        return Some(SaIdle::NoTunnel(id));
    }
    let (source_port, port) = sa.udp.filter(|_| sa.direction == SaDirection::In)?;
    (port != ESP_IN_UDP).then_some(SaIdle::UdpPort {
        id,
        source_port,
        port,
    })
}
