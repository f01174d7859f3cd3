// SPDX-License-Identifier: Apache-2.0
#include "core/start/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/process.h"

#define SUBID_MIN 100000u

/* "START:COUNT", digits only, within what a user id can be. */
static bool userns_parse_range(const char *text, size_t size, struct arrow_id_range *range)
{
	char copy[48], *end;
	unsigned long long start, count;

	if (size >= sizeof(copy) || strspn(text, "0123456789:") < size)
		return false;
	memcpy(copy, text, size);
	copy[size] = '\0';
	start = strtoull(copy, &end, 10);
	if (end == copy || *end != ':')
		return false;
	count = strtoull(end + 1, &end, 10);
	if (*end || count == 0 || start > UINT32_MAX || count > UINT32_MAX - start)
		return false;
	*range = (struct arrow_id_range){(uint32_t)start, (uint32_t)count};
	return true;
}

int arrow_subid_parse(const char *text, const char *user, uid_t uid, struct arrow_id_range *range)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", (unsigned int)uid);
	while (*text) {
		size_t size = strcspn(text, "\n"), length = strcspn(text, ":\n");
		bool mine = (length == strlen(user) && memcmp(text, user, length) == 0) ||
			    (length == strlen(number) && memcmp(text, number, length) == 0);

		if (length > 0 && length < size && mine &&
			userns_parse_range(text + length + 1, size - length - 1, range))
			return 0;
		text += size + (text[size] == '\n');
	}
	return -ENOENT;
}

uint32_t arrow_subid_free(const char *text, uint32_t count)
{
	uint64_t next = SUBID_MIN;

	while (*text) {
		size_t size = strcspn(text, "\n"), length = strcspn(text, ":\n");
		struct arrow_id_range range;

		if (length < size &&
			userns_parse_range(text + length + 1, size - length - 1, &range) &&
			(uint64_t)range.start + range.count > next)
			next = (uint64_t)range.start + range.count;
		text += size + (text[size] == '\n');
	}
	return next + count <= UINT32_MAX ? (uint32_t)next : 0;
}

int arrow_subid_find(const char *path, struct arrow_id_range *range)
{
	const struct passwd *pw = getpwuid(getuid());
	_cleanup_free_ char *text = NULL;
	int r = read_file(AT_FDCWD, path, 1u << 20, &text, NULL);

	return r < 0 ? r : arrow_subid_parse(text, pw ? pw->pw_name : "", getuid(), range);
}

static int userns_write_map(pid_t pid, const char *file, const char *text)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write_full(fd, text, strlen(text));
}

/* Runs newuidmap or newgidmap, which are setuid and know /etc/subuid. */
static int userns_map_ranges(pid_t pid, const char *tool, unsigned int own,
	const struct arrow_id_range *range, struct arrow_error *error)
{
	char p[16], id[16], start[24], count[24];
	const char *const argv[] = {tool, p, "0", id, "1", "1", start, count, NULL};

	snprintf(p, sizeof(p), "%d", (int)pid);
	snprintf(id, sizeof(id), "%u", own);
	snprintf(start, sizeof(start), "%u", range->start);
	snprintf(count, sizeof(count), "%u", range->count);
	return process_run(&(struct process_options){.argv = argv, .deadline_ms = 30000}, error);
}

static int userns_map_ids(pid_t pid, struct arrow_error *error)
{
	struct arrow_id_range uids, gids;
	char text[64];
	int r;

	if (arrow_subid_find(ARROW_SUBUID, &uids) == 0 &&
		arrow_subid_find(ARROW_SUBGID, &gids) == 0) {
		r = userns_map_ranges(pid, "newuidmap", getuid(), &uids, error);
		if (r == 0)
			return userns_map_ranges(pid, "newgidmap", getgid(), &gids, error);
		if (r != -ENOENT) /* not installed: own id only */
			return r;
		arrow_error_clear(error);
	}

	snprintf(text, sizeof(text), "0 %u 1\n", getuid());
	r = userns_write_map(pid, "uid_map", text);
	if (r == 0)
		r = userns_write_map(pid, "setgroups", "deny");
	snprintf(text, sizeof(text), "0 %u 1\n", getgid());
	if (r == 0)
		r = userns_write_map(pid, "gid_map", text);
	return r < 0 ? arrow_fail(error, -r, "cannot map user ids for volumes: %m") : 0;
}

int arrow_userns_create(int *fd, struct arrow_error *error)
{
	char path[64], byte = 0;
	int ready[2], r = 0;
	pid_t pid;

	*fd = -1;
	if (geteuid() == 0)
		return 0;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return arrow_fail(error, errno, "cannot create a pipe: %m");

	/* A namespace needs a process to be made by; it lives until we hold the descriptor. */
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = unshare(CLONE_NEWUSER) < 0 ? (char)errno : 0;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid < 0) {
		close(ready[0]);
		return arrow_fail(error, errno, "cannot fork: %m");
	}
	if (read_full(ready[0], &byte, 1) != 1)
		byte = EIO;
	close(ready[0]);

	if (byte)
		r = arrow_fail(error, byte,
			"cannot create a user namespace for volumes: %m; allow it with 'sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000'");
	if (r == 0)
		r = userns_map_ids(pid, error);
	if (r == 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		*fd = open(path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			r = arrow_fail(error, errno, "cannot open the user namespace: %m");
	}
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
