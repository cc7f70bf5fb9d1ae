//! What `--check` prints: the configuration with its defaults, and what it takes of the machine.

use control::message::PuntClass;

use crate::config::machine::format_list;
use crate::config::{Config, HopByHop};

use super::{ATTACHMENT_PAGE, Plan, hugepages, megabytes};

impl Plan {
    /// The text of `--check`.
    pub fn report(&self, config: &Config) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| text.push_str(&format!("{name:<14} {value}\n"));
        line(
            "configuration",
            format!("{}: nothing wrong", config.path.display()),
        );
        let netns = config
            .instance
            .netns
            .as_deref()
            .map_or("that of the caller".to_owned(), |name| format!("'{name}'"));
        line(
            "instance",
            format!(
                "'{}', file prefix {}",
                config.instance.name, config.instance.file_prefix
            ),
        );
        line("namespace", netns);
        line("log", format!("{} to {}", config.log.levels, config.log.target));
        let limits = &config.limits;
        line(
            "limits",
            format!(
                "routes4 {}, routes6 {}, tbl8_groups4 {}, neighbors {}, addresses {}, packet_buffers {} of {} bytes, attachments {} of {} MB, \
                 sub_interfaces {}, groups {}, reassemblies {}, sas {}, connections {}",
                limits.routes4,
                limits.routes6,
                limits.tbl8_groups4,
                limits.neighbors,
                limits.addresses,
                limits.packet_buffers,
                limits.packet_buffer_bytes,
                limits.attachments,
                limits.attachment_mb,
                limits.sub_interfaces,
                limits.groups,
                limits.reassemblies,
                limits.sas,
                limits.connections
            ),
        );
        line("crypto", config.crypto.devices.join(", "));
        for (class, policy) in PuntClass::ALL.into_iter().zip(&config.punts) {
            line(
                "punt",
                format!(
                    "{}:{} {} packets per second, {} at once",
                    class.name(),
                    if class.is_for_tools() {
                        format!(" fails {}, after {} ms;", policy.fail.name(), policy.deadline_ms)
                    } else {
                        String::new()
                    },
                    policy.rate,
                    policy.burst
                ),
            );
        }
        for (number, (cpu, lcore)) in config.workers.lcores.iter().zip(&self.worker_lcores).enumerate() {
            line(
                &format!("worker {number}"),
                format!("CPU {cpu}, lcore {lcore}, idle {}", config.workers.idle),
            );
        }
        line(
            "control",
            format!(
                "CPU {}, lcore {}",
                format_list(&config.workers.control_cpus),
                self.main_lcore
            ),
        );
        for interface in &config.interfaces {
            let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
            let addresses = if addresses.is_empty() {
                "no address".to_owned()
            } else {
                addresses.join(", ")
            };
            let tap = of_tap(interface.tap.as_deref());
            let redirects = of_redirects(interface.redirects);
            let hop_by_hop = of_hop_by_hop(interface.hop_by_hop);
            line(
                "interface",
                format!(
                    "{}: {}, mtu {}, {addresses}{tap}{redirects}{hop_by_hop}",
                    interface.name, interface.device, interface.mtu
                ),
            );
        }
        for vlan in &config.sub_interfaces {
            line(
                "sub-interface",
                format!(
                    "{}: {} id {} on {}, mtu {}, addresses: {}{}{}{}",
                    vlan.name,
                    vlan.protocol.name(),
                    vlan.id,
                    vlan.link,
                    vlan.mtu,
                    vlan.addresses.len(),
                    of_tap(vlan.tap.as_deref()),
                    of_redirects(vlan.redirects),
                    of_hop_by_hop(vlan.hop_by_hop)
                ),
            );
        }
        for tunnel in &config.tunnels {
            let wrapped = &tunnel.tunnel;
            let addresses = match &wrapped.unnumbered {
                Some(other) => format!("the addresses of {other}"),
                None => format!("addresses: {}", tunnel.addresses.len()),
            };
            line(
                "tunnel",
                format!(
                    "{}: {} from {} to {}, mtu {}, {addresses}",
                    wrapped.name,
                    wrapped.mode.name(),
                    wrapped.local,
                    wrapped.remote,
                    wrapped.mtu()
                ),
            );
        }
        line(
            "routes",
            format!("{} and {} neighbors", config.routes.len(), config.neighbors.len()),
        );
        for service in &config.services {
            let (servers, locals) = (service.servers.len(), service.locals.len());
            line(
                "service",
                format!(
                    "{}: scheduler {}, servers: {servers}, local addresses: {locals}",
                    service.id, service.options.scheduler
                ),
            );
        }
        let nodes: Vec<_> = self.memory_nodes.iter().map(ToString::to_string).collect();
        line(
            "EAL memory",
            format!(
                "{} MB on NUMA node {}, of which",
                self.memory_mb,
                nodes.join(" and ")
            ),
        );
        for part in self.parts.iter().filter(|part| part.bytes > 0) {
            line("", format!("{:>6} MB  {}", megabytes(part.bytes), part.name));
        }
        line(
            "table region",
            format!("{} MB", megabytes(self.table_region_bytes)),
        );
        let size = hugepages::size_name(self.huge_page_size);
        let place = self.huge_dir.as_ref().map_or_else(
            || "no hugetlbfs is mounted".to_owned(),
            |path| format!("the table region is in {}", path.display()),
        );
        line(
            "hugepages",
            format!(
                "{} of {size}: {} for EAL, {} for the table region; {place}",
                self.eal_pages() + self.region_pages(),
                self.eal_pages(),
                self.region_pages()
            ),
        );
        line(
            "attachments",
            format!(
                "{} of {} MB each: {} hugepages of {} more",
                self.attachments,
                megabytes(self.attachment_bytes),
                self.attachment_pages(),
                hugepages::size_name(ATTACHMENT_PAGE)
            ),
        );
        line(
            "connections",
            format!(
                "{} for each worker: {} MB of ordinary memory in all",
                self.connections,
                megabytes(self.connection_bytes())
            ),
        );
        text
    }
}

/// The end of a line about an interface.
fn of_tap(tap: Option<&str>) -> String {
    tap.map_or_else(String::new, |tap| format!(", tap {tap}"))
}

/// The end of a line about an interface that redirects are not sent to.
fn of_redirects(on: bool) -> &'static str {
    if on { "" } else { ", no redirects" }
}

/// The end of a line about an interface by which hop-by-hop headers are judged.
fn of_hop_by_hop(hop_by_hop: HopByHop) -> &'static str {
    match hop_by_hop {
        HopByHop::Ignore => "",
        HopByHop::Process => ", hop-by-hop headers judged",
    }
}
