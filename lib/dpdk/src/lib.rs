//! Safe DPDK: Eal, Port, queues, Pool, MbufBatch, Ring
