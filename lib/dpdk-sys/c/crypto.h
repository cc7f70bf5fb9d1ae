/*
 * Symmetric crypto. Transforms, capabilities and operations are filled in here, where the compiler knows how the
 * installed release lays them out; Rust hands over numbers and pointers.
 */
#ifndef TOLLGATE_CRYPTO_H
#define TOLLGATE_CRYPTO_H

static const uint64_t SHIM_CRYPTO_FF_SYMMETRIC = RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO;
static const uint64_t SHIM_CRYPTO_FF_HARDWARE = RTE_CRYPTODEV_FF_HW_ACCELERATED;
static const uint64_t SHIM_CRYPTO_FF_SYNCHRONOUS = RTE_CRYPTODEV_FF_SYM_CPU_CRYPTO;

/* What is asked of a session: AEAD if `aead` is not 0, else authentication and, if `cipher` is not 0, a cipher. */
struct shim_crypto_transform {
	int aead;
	int cipher;
	int auth;
	bool seal;
	const uint8_t *key;
	uint16_t key_len;
	const uint8_t *auth_key;
	uint16_t auth_key_len;
	uint16_t iv_len;
	uint16_t digest_len;
	uint16_t aad_len;
};

/* What lies behind an operation: what it points to, and who waits for it. */
struct shim_crypto_op_tail {
	uint8_t iv[16];
	uint8_t aad[16];
	const void *owner;
	uint64_t tag;
};

enum { SHIM_CRYPTO_OP_TAIL = sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op) };

static inline void
shim_crypto_info(uint8_t dev_id, const char **driver, struct rte_device **device, uint64_t *features,
		uint32_t *most_queues)
{
	struct rte_cryptodev_info info;

	memset(&info, 0, sizeof(info));
	rte_cryptodev_info_get(dev_id, &info);
	*driver = info.driver_name;
	*device = info.device;
	*features = info.feature_flags;
	*most_queues = info.max_nb_queue_pairs;
}

static inline int
shim_crypto_configure(uint8_t dev_id, uint16_t queues, int socket_id)
{
	struct rte_cryptodev_config config;

	memset(&config, 0, sizeof(config));
	config.socket_id = socket_id;
	config.nb_queue_pairs = queues;
	config.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY;
	return rte_cryptodev_configure(dev_id, &config);
}

static inline int
shim_crypto_queue_setup(uint8_t dev_id, uint16_t queue, uint32_t descriptors, int socket_id)
{
	struct rte_cryptodev_qp_conf config;

	memset(&config, 0, sizeof(config));
	config.nb_descriptors = descriptors;
	return rte_cryptodev_queue_pair_setup(dev_id, queue, &config, socket_id);
}

static inline const struct rte_cryptodev_symmetric_capability *
shim_crypto_capability(uint8_t dev_id, enum rte_crypto_sym_xform_type type, int algorithm)
{
	struct rte_cryptodev_sym_capability_idx index;

	memset(&index, 0, sizeof(index));
	index.type = type;
	switch (type) {
	case RTE_CRYPTO_SYM_XFORM_AEAD:
		index.algo.aead = (enum rte_crypto_aead_algorithm)algorithm;
		break;
	case RTE_CRYPTO_SYM_XFORM_CIPHER:
		index.algo.cipher = (enum rte_crypto_cipher_algorithm)algorithm;
		break;
	default:
		index.algo.auth = (enum rte_crypto_auth_algorithm)algorithm;
	}
	return rte_cryptodev_sym_capability_get(dev_id, &index);
}

static inline bool
shim_crypto_supports(uint8_t dev_id, const struct shim_crypto_transform *t)
{
	const struct rte_cryptodev_symmetric_capability *found;

	if (t->aead != 0) {
		found = shim_crypto_capability(dev_id, RTE_CRYPTO_SYM_XFORM_AEAD, t->aead);
		return found != NULL &&
			rte_cryptodev_sym_capability_check_aead(found, t->key_len, t->digest_len, t->aad_len,
				t->iv_len) == 0;
	}
	if (t->cipher != 0) {
		found = shim_crypto_capability(dev_id, RTE_CRYPTO_SYM_XFORM_CIPHER, t->cipher);
		if (found == NULL || rte_cryptodev_sym_capability_check_cipher(found, t->key_len, t->iv_len) != 0)
			return false;
	}
	found = shim_crypto_capability(dev_id, RTE_CRYPTO_SYM_XFORM_AUTH, t->auth);
	return found != NULL &&
		rte_cryptodev_sym_capability_check_auth(found, t->auth_key_len, t->digest_len, 0) == 0;
}

static inline void *
shim_crypto_session_create(uint8_t dev_id, const struct shim_crypto_transform *t, struct rte_mempool *pool)
{
	struct rte_crypto_sym_xform cipher, auth, *first;

	memset(&cipher, 0, sizeof(cipher));
	memset(&auth, 0, sizeof(auth));
	if (t->aead != 0) {
		cipher.type = RTE_CRYPTO_SYM_XFORM_AEAD;
		cipher.aead.op = t->seal ? RTE_CRYPTO_AEAD_OP_ENCRYPT : RTE_CRYPTO_AEAD_OP_DECRYPT;
		cipher.aead.algo = (enum rte_crypto_aead_algorithm)t->aead;
		cipher.aead.key.data = t->key;
		cipher.aead.key.length = t->key_len;
		cipher.aead.iv.offset = SHIM_CRYPTO_OP_TAIL + offsetof(struct shim_crypto_op_tail, iv);
		cipher.aead.iv.length = t->iv_len;
		cipher.aead.digest_length = t->digest_len;
		cipher.aead.aad_length = t->aad_len;
		return rte_cryptodev_sym_session_create(dev_id, &cipher, pool);
	}
	auth.type = RTE_CRYPTO_SYM_XFORM_AUTH;
	auth.auth.op = t->seal ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
	auth.auth.algo = (enum rte_crypto_auth_algorithm)t->auth;
	auth.auth.key.data = t->auth_key;
	auth.auth.key.length = t->auth_key_len;
	auth.auth.digest_length = t->digest_len;
	first = &auth;
	if (t->cipher != 0) {
		cipher.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
		cipher.cipher.op = t->seal ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
		cipher.cipher.algo = (enum rte_crypto_cipher_algorithm)t->cipher;
		cipher.cipher.key.data = t->key;
		cipher.cipher.key.length = t->key_len;
		cipher.cipher.iv.offset = SHIM_CRYPTO_OP_TAIL + offsetof(struct shim_crypto_op_tail, iv);
		cipher.cipher.iv.length = t->iv_len;
		/* Encrypt, then authenticate; the other way round on the way back. */
		if (t->seal) {
			cipher.next = &auth;
			first = &cipher;
		} else
			auth.next = &cipher;
	}
	return rte_cryptodev_sym_session_create(dev_id, first, pool);
}

/* All of a buffer is authenticated, all but `head` and `tail` bytes of it enciphered. */
static inline uint64_t
shim_crypto_offsets(uint16_t head, uint16_t tail)
{
	union rte_crypto_sym_ofs offsets;

	offsets.raw = 0;
	offsets.ofs.cipher.head = head;
	offsets.ofs.cipher.tail = tail;
	return offsets.raw;
}

/*
 * A pool of sessions without memory, which the caller brings: DPDK's own function takes it from the memory that
 * other processes may map. What a pool of sessions says of itself is private to rte_cryptodev, so it is copied from
 * one that DPDK makes.
 */
static inline struct rte_mempool *
shim_crypto_session_pool_create_empty(const char *name, uint32_t count, uint32_t session_bytes, int socket_id)
{
	uint8_t description[256];
	uint32_t element_bytes, description_bytes;
	struct rte_mempool *pool;

	pool = rte_cryptodev_sym_session_pool_create(name, 1, session_bytes, 0, 0, socket_id);
	if (pool == NULL)
		return NULL;
	element_bytes = pool->elt_size;
	description_bytes = pool->private_data_size;
	if (description_bytes > sizeof(description)) {
		rte_mempool_free(pool);
		rte_errno = E2BIG;
		return NULL;
	}
	memcpy(description, rte_mempool_get_priv(pool), description_bytes);
	rte_mempool_free(pool);
	/* No device reaches its memory by a bus address, so that need not be contiguous. */
	pool = rte_mempool_create_empty(name, count, element_bytes, 0, description_bytes, socket_id,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (pool != NULL)
		memcpy(rte_mempool_get_priv(pool), description, description_bytes);
	return pool;
}

/* Bytes of memory for all objects of a pool that has none, to begin at a cache line. */
static inline size_t
shim_mempool_bytes(const struct rte_mempool *pool)
{
	return (size_t)pool->size * (pool->header_size + pool->elt_size + pool->trailer_size);
}

/* Gives a pool its memory; answers how many objects it holds, or a negative error number. */
static inline int
shim_mempool_populate(struct rte_mempool *pool, void *memory, size_t bytes)
{
	return rte_mempool_populate_iova(pool, (char *)memory, RTE_BAD_IOVA, bytes, NULL, NULL);
}

static inline struct rte_mempool *
shim_crypto_op_pool_create(const char *name, uint32_t count, int socket_id)
{
	return rte_crypto_op_pool_create(name, RTE_CRYPTO_OP_TYPE_SYMMETRIC, count, 0,
		sizeof(struct shim_crypto_op_tail), socket_id);
}

static inline uint16_t
shim_crypto_op_alloc(struct rte_mempool *pool, struct rte_crypto_op **ops, uint16_t count)
{
	return rte_crypto_op_bulk_alloc(pool, RTE_CRYPTO_OP_TYPE_SYMMETRIC, ops, count);
}

static inline struct shim_crypto_op_tail *
shim_crypto_op_begin(struct rte_crypto_op *op, void *session, struct rte_mbuf *packet, const uint8_t iv[16],
		const void *owner, uint64_t tag)
{
	struct shim_crypto_op_tail *tail = rte_crypto_op_ctod_offset(op, struct shim_crypto_op_tail *,
		SHIM_CRYPTO_OP_TAIL);

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	op->sym->session = session;
	op->sym->m_src = packet;
	op->sym->m_dst = NULL;
	memcpy(tail->iv, iv, sizeof(tail->iv));
	tail->owner = owner;
	tail->tag = tag;
	return tail;
}

static inline void
shim_crypto_op_set_aead(struct rte_crypto_op *op, void *session, struct rte_mbuf *packet, uint32_t start,
		uint32_t length, uint32_t digest, const uint8_t iv[16], const uint8_t aad[16], const void *owner,
		uint64_t tag)
{
	struct shim_crypto_op_tail *tail = shim_crypto_op_begin(op, session, packet, iv, owner, tag);

	memcpy(tail->aad, aad, sizeof(tail->aad));
	op->sym->aead.data.offset = start;
	op->sym->aead.data.length = length;
	op->sym->aead.digest.data = rte_pktmbuf_mtod_offset(packet, uint8_t *, digest);
	op->sym->aead.digest.phys_addr = rte_pktmbuf_iova_offset(packet, digest);
	op->sym->aead.aad.data = tail->aad;
	op->sym->aead.aad.phys_addr = rte_crypto_op_ctophys_offset(op,
		SHIM_CRYPTO_OP_TAIL + offsetof(struct shim_crypto_op_tail, aad));
}

static inline void
shim_crypto_op_set_chain(struct rte_crypto_op *op, void *session, struct rte_mbuf *packet, uint32_t start,
		uint32_t length, uint32_t head, uint32_t tail, uint32_t digest, const uint8_t iv[16],
		const void *owner, uint64_t tag)
{
	shim_crypto_op_begin(op, session, packet, iv, owner, tag);
	op->sym->auth.data.offset = start;
	op->sym->auth.data.length = length;
	op->sym->auth.digest.data = rte_pktmbuf_mtod_offset(packet, uint8_t *, digest);
	op->sym->auth.digest.phys_addr = rte_pktmbuf_iova_offset(packet, digest);
	op->sym->cipher.data.offset = start + head;
	op->sym->cipher.data.length = length - head - tail;
}

/* What came of an operation, its packet, and who waited for it. */
static inline uint8_t
shim_crypto_op_result(struct rte_crypto_op *op, struct rte_mbuf **packet, const void **owner, uint64_t *tag)
{
	const struct shim_crypto_op_tail *tail = rte_crypto_op_ctod_offset(op, struct shim_crypto_op_tail *,
		SHIM_CRYPTO_OP_TAIL);

	*packet = op->sym->m_src;
	*owner = tail->owner;
	*tag = tail->tag;
	return op->status;
}

#endif
