//! What the primary says of its services.

use control::client::Client;
use control::message::{ErrorCode, Reply, Request, ServiceInfo};

use super::words::Which;
use crate::failure::Failure;
use crate::session::{Session, unexpected};

/// The services that are asked for, page by page; it is an error when an address is named that has none.
pub(crate) fn services(
    session: &Session,
    client: &mut Client,
    which: &Which,
) -> Result<Vec<ServiceInfo>, Failure> {
    let mut services: Vec<ServiceInfo> = Vec::new();
    let mut after = None;
    loop {
        let page = match session.call(client, Request::ServiceShow { after })? {
            Reply::Services(page) => page,
            other => return Err(unexpected(&other)),
        };
        let last = page.services.last().map(|service| service.id);
        services.extend(
            page.services
                .into_iter()
                .filter(|service| which.fits(&service.id)),
        );
        // One that goes on without a service would go on for ever.
        if !page.more || last.is_none() {
            break;
        }
        after = last;
    }
    if services.is_empty() && which.names_one() {
        return Err(Failure::refused(
            ErrorCode::NotFound,
            format!("there is no service {which}: 'tollgate-ctl service' lists all that there are"),
        ));
    }
    Ok(services)
}
