/* What lib/dpdk uses of DPDK, and nothing else: bindgen reads this file. */

/* Pools of crypto sessions and crypto on the caller's thread bear that mark in every release so far. */
#define ALLOW_EXPERIMENTAL_API

#include <stdio.h>

#include <rte_bpf.h>
#include <rte_common.h>
#include <rte_crypto.h>
#include <rte_cryptodev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_pdump.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_version.h>

#include "capture_reply.h"
#include "crypto.h"
#include "shim.h"
