// SPDX-License-Identifier: Apache-2.0
#include "guest/hold.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/io.h"

/*
 * Keeps every program from running while the VM is being saved, and in a restored one until it is
 * somebody else than the saved. Stopping them by signals would show: parents are told, system calls
 * are interrupted. So the loader takes the processors instead: it runs before all else (SCHED_FIFO)
 * and does not sleep, and a process on each other processor does the same. The kernel lets others
 * run for a moment after a second of that, which the loader never needs.
 */

#define READY_DEADLINE_MS 500u

struct shared {
	atomic_uint ready;
	atomic_bool over;
};

/* By the kernel itself: musl says of sched_setscheduler() that there is none. */
static int hold_run_first(void)
{
	const struct sched_param first = {.sched_priority = 99};

	return syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first) < 0 ? -errno : 0;
}

static int hold_move_to(pid_t pid, unsigned int cpu)
{
	unsigned long set[HOLD_CPUS / 64] = {0};

	set[cpu / 64] = 1ul << cpu % 64;
	return syscall(SYS_sched_setaffinity, pid, sizeof(set), set) < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) hold_occupy(struct shared *shared)
{
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->over))
		__builtin_ia32_pause();
	_exit(0);
}

/* Takes the processors but for `own`. Returns 0 or a negative errno. */
static int hold_take_others(struct hold *hold, unsigned int own)
{
	uint64_t deadline = now_ms() + READY_DEADLINE_MS;
	struct shared *shared;

	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	hold->shared = shared;
	for (unsigned int cpu = 0; cpu < HOLD_CPUS; cpu++) {
		pid_t pid;
		int r;

		if (cpu == own || !(hold->before[cpu / 64] >> cpu % 64 & 1))
			continue;
		pid = (pid_t)syscall(SYS_fork); /* the library has nothing to do in the child */
		if (pid == 0)
			hold_occupy(shared);
		if (pid < 0)
			return -errno;
		/* It is as urgent as the loader, on whose processor it would never run. */
		r = hold_move_to(pid, cpu);
		if (r < 0)
			return r;
		hold->others++;
	}
	while (atomic_load(&shared->ready) < hold->others) {
		if (now_ms() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

int hold_begin(struct hold *hold)
{
	unsigned int own = 0;
	int r;

	*hold = (struct hold){0};
	/* A kernel for one processor knows of no affinity: there are no others then. */
	(void)syscall(SYS_sched_getaffinity, 0, sizeof(hold->before), hold->before);
	(void)syscall(SYS_getcpu, &own, NULL, NULL);
	r = hold_run_first();
	if (r == 0)
		(void)hold_move_to(0, own);
	if (r == 0)
		r = hold_take_others(hold, own);
	if (r < 0)
		hold_end(hold);
	return r;
}

void hold_others_end(struct hold *hold)
{
	if (!hold->shared)
		return;
	atomic_store(&((struct shared *)hold->shared)->over, true);
	munmap(hold->shared, sizeof(struct shared)); /* theirs stays until they end */
	hold->shared = NULL;
}

void hold_end(struct hold *hold)
{
	const struct sched_param none = {0};

	hold_others_end(hold);
	/* Both undo what has worked before. */
	(void)syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &none);
	(void)syscall(SYS_sched_setaffinity, 0, sizeof(hold->before), hold->before);
}
