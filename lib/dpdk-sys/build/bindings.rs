//! bindgen over `c/wrapper.h`: the allow-list, and the C wrappers that make inline functions callable.

use std::path::{Path, PathBuf};

use crate::libdpdk::Libdpdk;

const FUNCTIONS: &[&str] = &[
    "capture_reply_after",
    "fopencookie",
    "rte_bpf_convert",
    "rte_bpf_destroy",
    "rte_bpf_get_jit",
    "rte_bpf_load",
    "rte_cryptodev_close",
    "rte_cryptodev_dequeue_burst",
    "rte_cryptodev_enqueue_burst",
    "rte_cryptodev_is_valid_dev",
    "rte_cryptodev_name_get",
    "rte_cryptodev_start",
    "rte_cryptodev_stop",
    "rte_cryptodev_sym_cpu_crypto_process",
    "rte_cryptodev_sym_get_private_session_size",
    "rte_cryptodev_sym_session_free",
    "rte_cryptodev_sym_session_pool_create",
    "rte_dev_probe",
    "rte_dev_remove",
    "rte_eal_cleanup",
    "rte_eal_init",
    "rte_eal_remote_launch",
    "rte_eal_wait_lcore",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_dev_close",
    "rte_eth_dev_configure",
    "rte_eth_dev_get_mtu",
    "rte_eth_dev_get_name_by_port",
    "rte_eth_dev_info_get",
    "rte_eth_dev_set_mtu",
    "rte_eth_dev_socket_id",
    "rte_eth_dev_start",
    "rte_eth_dev_stop",
    "rte_eth_find_next_of",
    "rte_eth_iterator_init",
    "rte_eth_iterator_next",
    "rte_eth_macaddr_get",
    "rte_eth_allmulticast_disable",
    "rte_eth_allmulticast_enable",
    "rte_eth_promiscuous_disable",
    "rte_eth_promiscuous_enable",
    "rte_eth_rx_burst",
    "rte_eth_rx_queue_setup",
    "rte_eth_stats_get",
    "rte_eth_tx_burst",
    "rte_eth_tx_queue_setup",
    "rte_free",
    "rte_get_main_lcore",
    "rte_get_next_lcore",
    "rte_get_tsc_hz",
    "rte_lcore_id",
    "rte_lcore_to_socket_id",
    "rte_log_cur_msg_loglevel",
    "rte_log_set_global_level",
    "rte_mempool_free",
    "rte_mempool_in_use_count",
    "rte_openlog_stream",
    "rte_pdump_init",
    "rte_pktmbuf_alloc",
    "rte_pktmbuf_alloc_bulk",
    "rte_pktmbuf_free",
    "rte_pktmbuf_free_bulk",
    "rte_pktmbuf_pool_create",
    "rte_rdtsc",
    "rte_ring_count",
    "rte_ring_create_elem",
    "rte_ring_dequeue_burst_elem",
    "rte_ring_enqueue_burst_elem",
    "rte_ring_free",
    "rte_ring_free_count",
    "rte_ring_init",
    "rte_strerror",
    "rte_version",
    "rte_zmalloc_socket",
    "shim_.*",
];

/// Structures that no function above names.
const TYPES: &[&str] = &[
    "bpf_insn",
    "bpf_program",
    "rte_crypto_aead_algorithm",
    "rte_crypto_auth_algorithm",
    "rte_crypto_cipher_algorithm",
    "rte_crypto_op_status",
];

const CONSTANTS: &[&str] = &[
    "RTE_CRYPTO_MAX_DEVS",
    "RTE_ETH_MQ_RX_RSS",
    "RTE_ETH_NAME_MAX_LEN",
    "RTE_MAX_ETHPORTS",
    "RTE_MAX_LCORE",
    "RTE_PKTMBUF_HEADROOM",
    "SHIM_.*",
];

/// Handled by pointer only, so that their insides (which differ between releases) stay out of the bindings.
const OPAQUE: &[&str] = &[
    "_IO_FILE",
    "rte_bpf",
    "rte_bpf_prm",
    "rte_bus",
    "rte_class",
    "rte_crypto_op",
    "rte_cryptodev_symmetric_capability",
    "rte_device",
    "rte_mbuf",
    "rte_mempool",
    "rte_ring",
];

/// Writes `bindings.rs` into `out_dir` and answers the path of the C file with the wrappers.
pub fn generate(dpdk: &Libdpdk, out_dir: &Path) -> Result<PathBuf, String> {
    require_libclang()?;
    let wrappers = out_dir.join("wrappers.c");
    let mut builder = bindgen::Builder::default()
        .header("c/wrapper.h")
        .clang_args(&dpdk.cflags)
        // fopencookie is a GNU extension.
        .clang_arg("-D_GNU_SOURCE")
        .rust_edition(bindgen::RustEdition::Edition2024)
        .use_core()
        .prepend_enum_name(false)
        // Doxygen is not rustdoc.
        .generate_comments(false)
        .layout_tests(true)
        .derive_debug(false)
        .formatter(bindgen::Formatter::None)
        .wrap_static_fns(true)
        .wrap_static_fns_path(&wrappers)
        .parse_callbacks(Box::new(bindgen::CargoCallbacks::new()));
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for constant in CONSTANTS {
        builder = builder.allowlist_var(constant);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    builder
        .generate()
        .map_err(|error| {
            format!(
                "bindgen cannot read the headers of DPDK {}: {error}",
                dpdk.version
            )
        })?
        .write_to_file(out_dir.join("bindings.rs"))
        .map_err(|error| {
            format!(
                "{} cannot be written: {error}",
                out_dir.join("bindings.rs").display()
            )
        })?;
    Ok(wrappers)
}

/// bindgen loads libclang at run time and panics if there is none: turn that into a sentence.
fn require_libclang() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed=LIBCLANG_PATH");
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(bindgen::clang_version);
    std::panic::set_hook(hook);
    found.map(|_| ()).map_err(|_| {
        "libclang, which bindgen needs, is not found: install the package libclang-dev".to_owned()
    })
}
