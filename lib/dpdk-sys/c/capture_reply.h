/*
 * What is called before a capture of DPDK's own tools is answered that it has begun or ended.
 */
#ifndef TOLLGATE_CAPTURE_REPLY_H
#define TOLLGATE_CAPTURE_REPLY_H

void capture_reply_after(void (*wait)(void));

#endif
