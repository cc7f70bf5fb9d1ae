/*
 * A tool that captures frees its pool and ring as soon as it is told that the capture is over, while a thread that polls the
 * queue may still be in the callback that copies to them: librte_pdump takes the callback away and waits for nobody. The
 * thread then allocates from a pool that is gone. So the answer waits until all such threads are between bursts.
 *
 * librte_pdump calls rte_mp_reply of whoever the dynamic linker finds first, which is the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "capture_reply.h"

static void (*wait_for_bursts)(void);

void
capture_reply_after(void (*wait)(void))
{
	wait_for_bursts = wait;
}

int
rte_mp_reply(struct rte_mp_msg *msg, const char *peer)
{
	static int (*reply)(struct rte_mp_msg *msg, const char *peer);

	if (reply == NULL)
		reply = (int (*)(struct rte_mp_msg *, const char *))dlsym(RTLD_NEXT, "rte_mp_reply");
	if (reply == NULL) {
		rte_errno = ENOTSUP;
		return -1;
	}
	if (wait_for_bursts != NULL && strcmp(msg->name, "mp_pdump") == 0)
		wait_for_bursts();
	return reply(msg, peer);
}
