/*
 * Names for what bindgen cannot see: function-like macros, macros that are expressions, and fields whose place in
 * a structure differs between DPDK releases. Each is one line of C that the compiler checks against the installed
 * headers.
 */
#ifndef TOLLGATE_SHIM_H
#define TOLLGATE_SHIM_H

/* rte_errno is a macro over a thread-local variable. */
static inline int
shim_rte_errno(void)
{
	return rte_errno;
}

/* struct rte_eth_link is a plain bit field in 22.11 and a union in 24.11. */
static inline int
shim_eth_link_get_nowait(uint16_t port_id, uint32_t *speed_mbps, bool *full_duplex, bool *up)
{
	struct rte_eth_link link;
	int ret;

	memset(&link, 0, sizeof(link));
	ret = rte_eth_link_get_nowait(port_id, &link);
	*speed_mbps = link.link_speed;
	*full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	*up = link.link_status == RTE_ETH_LINK_UP;
	return ret;
}

/*
 * struct rte_mbuf: markers and unions around these fields come and go with the releases, so Rust sees the structure
 * as opaque and goes by offset. The width of each field is what lib.rs says it is.
 */
#define SHIM_MBUF_FIELD(name, field, type)                                                                           \
	_Static_assert(sizeof(((struct rte_mbuf *)NULL)->field) == sizeof(type), "width of rte_mbuf." #field);       \
	enum { SHIM_MBUF_##name = offsetof(struct rte_mbuf, field) }

SHIM_MBUF_FIELD(BUF_ADDR, buf_addr, void *);
SHIM_MBUF_FIELD(DATA_OFF, data_off, uint16_t);
SHIM_MBUF_FIELD(NB_SEGS, nb_segs, uint16_t);
SHIM_MBUF_FIELD(PORT, port, uint16_t);
SHIM_MBUF_FIELD(OL_FLAGS, ol_flags, uint64_t);
SHIM_MBUF_FIELD(PKT_LEN, pkt_len, uint32_t);
SHIM_MBUF_FIELD(DATA_LEN, data_len, uint16_t);
SHIM_MBUF_FIELD(VLAN_TCI, vlan_tci, uint16_t);
SHIM_MBUF_FIELD(BUF_LEN, buf_len, uint16_t);
SHIM_MBUF_FIELD(HASH, hash, uint64_t);
SHIM_MBUF_FIELD(NEXT, next, struct rte_mbuf *);

/* A flag of ol_flags that no other library of this process has; 0 when there is none left. */
static inline uint64_t
shim_mbuf_flag(const char *name)
{
	struct rte_mbuf_dynflag flag;
	int bit;

	memset(&flag, 0, sizeof(flag));
	snprintf(flag.name, sizeof(flag.name), "%s", name);
	bit = rte_mbuf_dynflag_register(&flag);
	return bit < 0 ? 0 : UINT64_C(1) << bit;
}

/* What pcap(3PCAP) compiles; rte_bpf.h names the second and has neither. */
struct bpf_insn {
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};
struct bpf_program {
	uint32_t bf_len;
	struct bpf_insn *bf_insns;
};

/* struct rte_ring, which lib/shm lays out in memory that it shares with other processes. */
enum {
	SHIM_RING_BYTES = sizeof(struct rte_ring),
	SHIM_RING_FLAGS = offsetof(struct rte_ring, flags),
	SHIM_RING_SIZE = offsetof(struct rte_ring, size),
	SHIM_RING_MASK = offsetof(struct rte_ring, mask),
	SHIM_RING_CAPACITY = offsetof(struct rte_ring, capacity),
	SHIM_RING_PRODUCER = offsetof(struct rte_ring, prod),
	SHIM_RING_CONSUMER = offsetof(struct rte_ring, cons),
};

/* RTE_BIT64() and casts are expressions, which bindgen leaves out. */
static const uint64_t SHIM_MBUF_F_RX_VLAN = RTE_MBUF_F_RX_VLAN;
static const uint64_t SHIM_MBUF_F_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t SHIM_MBUF_F_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t SHIM_MBUF_F_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t SHIM_MBUF_F_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t SHIM_MBUF_F_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;

static const uint64_t SHIM_RX_OFFLOAD_VLAN_STRIP = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
static const uint64_t SHIM_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t SHIM_TX_OFFLOAD_VLAN_INSERT = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
static const uint64_t SHIM_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_UDP_CKSUM = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

static const uint64_t SHIM_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t SHIM_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t SHIM_RSS_UDP = RTE_ETH_RSS_UDP;

static const uint32_t SHIM_RING_F_SP_ENQ = RING_F_SP_ENQ;
static const uint32_t SHIM_RING_F_SC_DEQ = RING_F_SC_DEQ;
static const uint32_t SHIM_RING_F_EXACT_SZ = RING_F_EXACT_SZ;

static const int32_t SHIM_SOCKET_ID_ANY = SOCKET_ID_ANY;

#endif
