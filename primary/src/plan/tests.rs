use std::path::Path;

use super::hugepages::{FreePages, check};
use super::*;
use crate::config::{Bond, BondMode, Overrides};

const MEGA: usize = 1 << 20;

/// A machine with two NUMA nodes: CPUs 0 and 1, CPUs 2 and 200.
fn machine() -> Machine {
    let online = vec![0, 1, 2, 200];
    Machine {
        online: online.clone(),
        allowed: online,
        nodes: vec![(0, vec![0, 1]), (1, vec![2, 200])],
    }
}

fn config(more: &str) -> Config {
    let text = format!(
        "{more}\n[instance]\nname = \"blue\"\n\
         [[interface]]\nname = \"wan\"\ndevice = \"net_af_packet0,iface=wan0\"\naddresses = [\"192.168.10.1/24\"]\n\
         [[interface]]\nname = \"lan\"\ndevice = \"net_null0\"\n"
    );
    Config::parse(&text, Path::new("blue.toml"), &Overrides::default(), &machine()).unwrap()
}

fn mount(page_size: usize) -> Vec<Mount> {
    vec![Mount {
        path: "/dev/hugepages".into(),
        page_size,
    }]
}

fn plan(more: &str) -> Result<Plan, PlanError> {
    Plan::on(&config(more), &machine(), &mount(2 * MEGA))
}

fn free(node: u8, page_size: usize, free: usize) -> FreePages {
    FreePages {
        node: Some(node),
        page_size,
        free,
        total: free + 10,
    }
}

#[test]
fn eal_is_told_its_lcores_memory_and_that_it_leaves_nothing_behind() {
    let plan = plan("workers = { lcores = [1], control_cpus = [0] }").unwrap();
    assert_eq!(
        plan.eal_args,
        [
            "--file-prefix=tg-blue",
            "--lcores=127@(0),1@1",
            "--main-lcore=127",
            "--socket-mem=256,0",
            "--socket-limit=256,1",
            "--in-memory",
            "--no-pci",
            "--log-level=*:debug",
        ]
    );
    assert_eq!(
        (plan.worker_lcores, plan.main_lcore, plan.node),
        (vec![1], 127, Some(0))
    );
}

#[test]
fn stock_tools_find_files() {
    let plan = plan("eal = { stock_tools = true, args = [\"--iova-mode=va\"] }").unwrap();
    assert!(plan.eal_args.contains(&"--huge-dir=/dev/hugepages".to_owned()));
    assert!(!plan.eal_args.contains(&"--in-memory".to_owned()));
    assert_eq!(plan.eal_args.last().unwrap(), "--iova-mode=va");
}

#[test]
fn pci_devices_are_allowed_one_by_one() {
    let mut config = config("");
    config.interfaces[1].device = "pci:0000:81:00.0,rxq_cqe_comp_en=0".parse().unwrap();
    let plan = Plan::on(&config, &machine(), &mount(2 * MEGA)).unwrap();
    assert!(
        plan.eal_args
            .contains(&"--allow=0000:81:00.0,rxq_cqe_comp_en=0".to_owned())
    );
    assert!(!plan.eal_args.contains(&"--no-pci".to_owned()));
}

#[test]
fn lcore_ids_are_distinct_and_those_of_the_cpus_where_they_can_be() {
    assert_eq!(eal::lcores(&[0, 1], false), (vec![0, 1], 127));
    assert_eq!(eal::lcores(&[127, 200, 300], false), (vec![127, 126, 125], 124));
    assert_eq!(eal::lcores(&[200, 127], false), (vec![126, 127], 125));
    assert_eq!(
        eal::lcores(&[0, 1], true),
        (vec![127, 126], 125),
        "DPDK's own tools have 0 and 1"
    );
}

#[test]
fn memory_is_on_the_nodes_of_the_workers() {
    let plan = plan("workers = { lcores = [200, 1], control_cpus = [0] }").unwrap();
    assert!(
        plan.eal_args.contains(&"--socket-mem=256,256".to_owned()),
        "{:?}",
        plan.eal_args
    );
    assert!(
        plan.eal_args.contains(&"--lcores=126@(0),127@200,1@1".to_owned()),
        "{:?}",
        plan.eal_args
    );
    assert_eq!((plan.node, plan.eal_pages()), (Some(1), 256));
}

#[test]
fn tables_have_room_for_what_addresses_and_neighbours_make() {
    let plan = plan(
        "limits = { routes4 = 1000, routes6 = 500, neighbors = 100, addresses = 10, sub_interfaces = 3 }",
    )
    .unwrap();
    assert_eq!(plan.fib_routes4, 1000 + 100 + 40);
    assert_eq!(plan.capacity.routes4, plan.fib_routes4);
    // An IPv6 address makes a local, an anycast and a connected route, and its interface a link-local address.
    assert_eq!(plan.fib_routes6, 500 + 100 + 30);
    assert_eq!(plan.capacity.routes6, plan.fib_routes6);
    assert_eq!(plan.fib6_words, fib::words6(plan.fib_routes6));
    assert_eq!(plan.capacity.addresses, 10 + 5);
    assert_eq!((plan.capacity.interfaces, plan.capacity.workers), (5, 1));
    // Each neighbour, and for each address its local and its connected route.
    assert!(plan.adjacencies >= 100 + 2 * 10 + 4);
    assert_eq!(plan.tbl8_groups, 1000 / 4 + 1024);
    assert_eq!(plan.table_region_bytes % plan.huge_page_size, 0);
}

#[test]
fn one_mbuf_holds_the_longest_frame_where_the_driver_wants_it() {
    assert_eq!(plan("").unwrap().pool.data_room, dpdk::Pool::DATA_ROOM);
    let mut config = config("eal = { memory_mb = 512 }");
    for interface in &mut config.interfaces {
        interface.mtu = 9000;
        interface.device = "0000:01:00.0".parse().unwrap();
    }
    let plan = |config: &Config| Plan::on(config, &machine(), &mount(2 * MEGA)).unwrap();
    assert_eq!(plan(&config).pool.data_room, dpdk::Pool::DATA_ROOM);
    config.interfaces[0].device = "net_af_packet0,iface=w".parse().unwrap();
    let enough = dpdk::Pool::HEADROOM + 9000 + FRAME_OVERHEAD as u16;
    assert!(plan(&config).pool.data_room >= enough);
    // The members of a bond are devices like others.
    let member = std::mem::replace(&mut config.interfaces[0].device, "net_bonding0".parse().unwrap());
    assert_eq!(plan(&config).pool.data_room, dpdk::Pool::DATA_ROOM);
    config.interfaces[0].bond = Some(Bond {
        mode: BondMode::RoundRobin,
        members: vec![member],
    });
    assert!(plan(&config).pool.data_room >= enough);
}

#[test]
fn packet_buffers_are_as_short_as_asked_for_unless_a_driver_wants_longer_ones() {
    let mut config = config("limits = { packet_buffer_bytes = 128 }");
    let pool = |config: &Config| Plan::on(config, &machine(), &mount(2 * MEGA)).unwrap().pool;
    let with_af_packet = pool(&config);
    config.interfaces[0].device = "net_null1".parse().unwrap();
    assert_eq!(pool(&config).data_room, dpdk::Pool::HEADROOM + 128);
    assert!(with_af_packet.data_room >= dpdk::Pool::HEADROOM + 1500 + FRAME_OVERHEAD as u16);
}

#[test]
fn long_buffers_are_there_where_sas_can_be_and_count_as_memory() {
    let with = plan("workers = { lcores = [1, 2], control_cpus = [0] }").unwrap();
    let long = with.long_pool.unwrap();
    assert_eq!(long.count, 2 * LONG_BUFFERS);
    assert_eq!(long.data_room, long_room(with.pool.data_room));
    // As long as DPDK has them, where others nearly are.
    assert_eq!(long_room(60_000), u16::MAX);
    let without = plan("limits = { sas = 0 }\nworkers = { lcores = [1, 2], control_cpus = [0] }").unwrap();
    assert_eq!(without.long_pool, None);
    let counted = |plan: &Plan| {
        let part = plan.parts.iter().find(|part| part.name == "long buffers for SAs");
        part.unwrap().bytes
    };
    assert_eq!((counted(&with), counted(&without)), (long.bytes(), 0));
    assert!(long.bytes() >= 2 * LONG_BUFFERS as usize * usize::from(long.data_room));
}

#[test]
fn packet_buffers_fill_all_queues_and_leave_some() {
    assert_eq!(plan("").unwrap().pool.count, packet_buffers(4 * 1024, 1, 0, 4096));
    assert!(packet_buffers(4 * 1024, 2, 0, 0) > 2 * (4 * 1024 + MOST_WAITING as u32));
    assert!(packet_buffers(0, 0, 0, 0) > 0);
    assert!(packet_buffers(0, 1, 0, 16_384) > MOST_BEHIND + 16_384);
}

#[test]
fn a_tool_has_fewer_packets_where_they_are_longer() {
    assert_eq!(with_tool(8 << 20, 1500), 4096);
    assert_eq!(with_tool(32 << 20, 1500), 16_384);
    assert_eq!(with_tool(8 << 20, 9000), (8 << 20) / 9026);
    assert_eq!(with_tool(0, 9000), 0);
}

#[test]
fn too_little_memory_says_how_much_is_enough_and_that_is_enough() {
    let Err(PlanError::TooLittleMemory { needed_mb, .. }) = plan("eal = { memory_mb = 16 }") else {
        panic!()
    };
    let message = plan("eal = { memory_mb = 16 }").unwrap_err().to_string();
    for part in [
        "blue.toml:1:21: ",
        "[limits]",
        "memory_mb = 16",
        "tbl24",
        "packet buffers",
        &needed_mb.to_string(),
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert!(plan(&format!("eal = {{ memory_mb = {needed_mb} }}")).is_ok());
    assert!(plan(&format!("eal = {{ memory_mb = {} }}", needed_mb - 2)).is_err());
}

#[test]
fn more_routes_than_memory_is_answered_with_the_limit_to_lower() {
    let message = plan("limits = { tbl8_groups4 = 1000000 }")
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("blue.toml: ") && message.contains("lower tbl8_groups4"),
        "{message}"
    );
    let message = plan("limits = { packet_buffers = 1000000 }")
        .unwrap_err()
        .to_string();
    assert!(message.contains("lower packet_buffers"), "{message}");
    let message = plan("limits = { routes6 = 1_000_000 }").unwrap_err().to_string();
    assert!(message.contains("lower routes6"), "{message}");
}

#[test]
fn ipv6_routes_take_memory_of_eal_and_of_the_table_region() {
    let few = plan("limits = { routes6 = 1000 }").unwrap();
    let many = plan("limits = { routes6 = 200000 }\neal = { memory_mb = 512 }").unwrap();
    let more = many.fib_routes6 - few.fib_routes6;
    assert_eq!(more, 199_000);
    assert!(many.fib6_words * 8 >= few.fib6_words * 8 + 128 * more);
    let more_bytes = more * size_of::<shm::records::Route6>();
    // Each is of whole pages.
    assert!(many.table_region_bytes + many.huge_page_size > few.table_region_bytes + more_bytes);
    let message = plan("limits = { routes6 = 1000000 }").unwrap_err().to_string();
    assert!(message.contains("trie of IPv6 routes 127"), "{message}");
}

#[test]
fn crypto_devices_take_memory_where_there_can_be_sas() {
    let of = |more: &str| {
        let plan = plan(more).unwrap();
        let mut parts = plan.parts.iter();
        parts.find(|part| part.name == "crypto devices").unwrap().bytes
    };
    assert_eq!(of("limits = { sas = 0 }"), 0);
    let two = of("limits = { sas = 1000 }");
    // The queues of both, and a place for each session.
    assert!((2 * 200_000..4 * MEGA).contains(&two), "{two}");
    assert_eq!(
        of("limits = { sas = 1000 }\ncrypto = { devices = [\"crypto_aesni_mb0\"] }"),
        two / 2
    );
    assert!(of("limits = { sas = 100_000 }") >= two + 2 * 8 * 99_000);
    let config = config("crypto = { devices = [\"crypto_aesni_mb3\"] }");
    let plan = Plan::on(&config, &machine(), &mount(2 * MEGA)).unwrap();
    let report = plan.report(&config);
    assert!(
        report.contains("crypto_aesni_mb3") && report.contains("MB  crypto devices"),
        "{report}"
    );
}

#[test]
fn large_pages_are_taken_whole() {
    let plan = Plan::on(&config(""), &machine(), &mount(1024 * MEGA)).unwrap();
    assert_eq!(
        (plan.memory_mb, plan.eal_pages(), plan.region_pages()),
        (1024, 1, 1)
    );
    assert!(
        plan.eal_args.contains(&"--socket-mem=0,1024".to_owned()),
        "{:?}",
        plan.eal_args
    );
}

#[test]
fn too_few_hugepages_are_answered_with_the_command_that_reserves_them() {
    let plan = plan("workers = { lcores = [1], control_cpus = [0] }").unwrap();
    let needed = plan.eal_pages() + plan.region_pages() + plan.attachment_pages();
    assert!(check(&plan, &[free(0, 2 * MEGA, needed)]).is_ok());
    let message = check(&plan, &[free(0, 2 * MEGA, needed - 1)])
        .unwrap_err()
        .to_string();
    // Ten are in use by others, and stay so.
    let command = format!(
        "'tollgate-hugepage-setup reserve --size 2M --pages {}'",
        needed + 10
    );
    for part in [
        &command,
        "128 for memory_mb",
        "16 for attachments",
        &format!("{needed} hugepages of 2M"),
        &format!("{} are free", needed - 1),
    ] {
        assert!(message.contains(part), "{message}");
    }
    let message = check(&plan, &[free(0, 2 * MEGA, 10), free(1, 2 * MEGA, needed)])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("on NUMA node 0") && message.contains("--node 0"),
        "{message}"
    );
    assert!(check(&plan, &[]).is_err());
}

#[test]
fn attachments_need_small_pages_beside_large_ones() {
    let plan = Plan::on(
        &config("workers = { lcores = [1], control_cpus = [0] }"),
        &machine(),
        &mount(1024 * MEGA),
    )
    .unwrap();
    let large = free(0, 1024 * MEGA, 2);
    assert!(check(&plan, &[large, free(0, 2 * MEGA, 16)]).is_ok());
    let message = check(&plan, &[large, free(0, 2 * MEGA, 15)])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("16 hugepages of 2M") && message.contains("--pages 26"),
        "{message}"
    );
}

#[test]
fn eal_without_files_takes_larger_pages_first() {
    let config = "workers = { lcores = [1], control_cpus = [0] }\neal = { memory_mb = 1024 }";
    let pages = [free(0, 2 * MEGA, 40), free(0, 1024 * MEGA, 1)];
    assert!(check(&plan(config).unwrap(), &pages).is_ok());
    let stock = config.replace("memory_mb", "stock_tools = true, memory_mb");
    assert!(check(&plan(&stock).unwrap(), &pages).is_err());
}

#[test]
fn without_a_mount_there_is_a_plan_that_cannot_be_carried_out() {
    let plan = Plan::on(&config(""), &machine(), &[]).unwrap();
    assert_eq!(plan.tables_path(), None);
    let message = check_hugepages(&plan).unwrap_err().to_string();
    assert!(message.contains("tollgate-hugepage-setup mount"), "{message}");
    let plan = Plan::on(
        &config("eal = { huge_dir = \"/tmp\" }"),
        &machine(),
        &mount(2 * MEGA),
    )
    .unwrap();
    let message = check_hugepages(&plan).unwrap_err().to_string();
    assert!(message.contains("huge_dir = '/tmp'"), "{message}");
}

#[test]
fn the_report_names_all_that_is_needed() {
    let config = config("");
    let plan = Plan::on(&config, &machine(), &mount(2 * MEGA)).unwrap();
    assert_eq!(
        plan.tables_path().unwrap(),
        Path::new("/dev/hugepages/tg-blue.tables")
    );
    let report = plan.report(&config);
    for part in [
        "routes4 100000",
        "tbl8_groups4 26024",
        "packet_buffers",
        "lcore",
        "EAL memory",
        "table region",
        "net_af_packet0,iface=wan0",
        "192.168.10.1/24",
        "no address",
        "128 for EAL",
        "16 hugepages of 2M more",
        "/dev/hugepages",
        "info to stderr",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}
