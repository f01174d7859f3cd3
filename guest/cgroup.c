// SPDX-License-Identifier: Apache-2.0
/*
 * The cgroup that holds the program, and what is executed beside it, to a part of a CPU and to a
 * number of processes. It is made when there is a limit: with the job, or later by the worker.
 */
#include "guest/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ROOT_GROUP "/sys/fs/cgroup"
#define PROGRAM_GROUP ROOT_GROUP "/arrow"
#define PERIOD_US 100000u
#define MOVE_TRIES 100 /* until no process is born outside any more */

/* Writes a file of the cgroup file system. Returns 0 or a negative errno. */
static int cgroup_write(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : write_full(fd, text, strlen(text));
}

/* Gives the program's cgroup a controller and a limit. */
static int cgroup_set_limit(const char *controller, const char *file, const char *value)
{
	char path[64];
	int r = cgroup_write(ROOT_GROUP "/cgroup.subtree_control", controller);

	if (r == 0 && mkdir(PROGRAM_GROUP, 0755) < 0 && errno != EEXIST)
		r = -errno;
	snprintf(path, sizeof(path), PROGRAM_GROUP "/%s", file);
	return r < 0 ? r : cgroup_write(path, value);
}

static int cgroup_set_cpu(uint32_t millicpus)
{
	char value[32];

	if (millicpus)
		snprintf(value, sizeof(value), "%u %u", millicpus * (PERIOD_US / 1000), PERIOD_US);
	else
		snprintf(value, sizeof(value), "max %u", PERIOD_US);
	return cgroup_set_limit("+cpu", "cpu.max", value);
}

static int cgroup_set_pids(uint32_t max)
{
	char value[32] = "max";

	if (max)
		snprintf(value, sizeof(value), "%u", max);
	return cgroup_set_limit("+pids", "pids.max", value);
}

bool cgroup_holds(const struct job *job, bool first)
{
	return job->cpu_max || job->pids_max || (!first && access(PROGRAM_GROUP, F_OK) == 0);
}

int cgroup_enter(const struct job *job, bool first, struct failure *failure)
{
	int r = first && job->cpu_max ? cgroup_set_cpu(job->cpu_max) : 0;

	if (r == 0 && first && job->pids_max)
		r = cgroup_set_pids(job->pids_max);
	if (r == 0)
		r = cgroup_write(PROGRAM_GROUP "/cgroup.procs", "0");
	return r < 0 ? fail(failure, 125, -r,
			       "cannot limit the program to %s: %m; the guest's kernel may lack cgroups, use --kernel general",
			       job->cpu_max ? "a part of a CPU" : "a number of processes")
		     : 0;
}

int cgroup_leave(void)
{
	return cgroup_write(ROOT_GROUP "/cgroup.procs", "0");
}

/* Threads of the kernel have no program, and could be moved, too. */
static bool cgroup_is_program(const char *pid)
{
	char path[64], target[8];

	snprintf(path, sizeof(path), "/proc/%s/exe", pid);
	return readlink(path, target, sizeof(target)) >= 0;
}

/* Moves what runs outside, but the loader, this worker and the kernel's own. Returns how many. */
static unsigned int cgroup_move_all(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned int moved = 0;
	char *state = NULL;

	if (read_file(AT_FDCWD, ROOT_GROUP "/cgroup.procs", 1 << 20, &text, NULL) < 0)
		return 0;
	for (char *pid = strtok_r(text, "\n", &state); pid; pid = strtok_r(NULL, "\n", &state)) {
		long n = strtol(pid, NULL, 10);

		if (n > 1 && n != getpid() && cgroup_is_program(pid) &&
			cgroup_write(PROGRAM_GROUP "/cgroup.procs", pid) == 0)
			moved++;
	}
	return moved;
}

/* Says "0\n", or the errno of what failed. */
int worker_limit(int out, uint32_t millicpus, uint32_t pids)
{
	int r = cgroup_set_cpu(millicpus);

	if (r == 0)
		r = cgroup_set_pids(pids);
	for (int i = 0; r == 0 && i < MOVE_TRIES && cgroup_move_all() > 0; i++)
		;
	return dprintf(out, "%d\n", -r) < 0 ? 1 : 0;
}
