// SPDX-License-Identifier: Apache-2.0
/* The side of an Arrow: asks for a fork, or starts the zygote for the next ones. */
#include "engine/qemu/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/qemu/command.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ANSWER_DEADLINE_S 10 /* many may ask at once */
#define FIXED_FDS 5u         /* stderr, QMP, channel, console, share; then cards and disks */
#define GROUPS 8u
#define CRASHES_MAX 4 /* of forks of one zygote */
#define KEPT_FDS 6u   /* of the process that holds a zygote, beside its cards */
#define REQUEST_FDS (FIXED_FDS + QEMU_ZYGOTE_NICS + QEMU_ZYGOTE_DISKS + GROUPS)

/* Processes of a zygote are not to be looked into, which keeps all but root from setting it. */
static bool zygote_can_set_score(const struct arrow_vm_limits *limits)
{
	return !limits || limits->oom_score_adj == 0 || geteuid() == 0;
}

bool qemu_zygote_suits(const struct qemu_program *program, const struct arrow_vm_config *config)
{
	/* QEMU's own network is sockets of its process, and ports on its command line. */
	for (unsigned int i = 0; i < config->n_nics; i++)
		if (config->nics[i].kind == ARROW_NIC_USER)
			return false;
	return config->settings->zygote && (config->mode->can & ARROW_ENGINE_FORKS) &&
	       qemu_warms_template(program, config) && config->n_shares == 0 &&
	       zygote_can_set_score(config->limits) &&
	       (!config->limits || config->limits->n_procs <= GROUPS) &&
	       config->n_disks <= QEMU_ZYGOTE_DISKS && config->n_nics <= QEMU_ZYGOTE_NICS;
}

/* The path of the directory may be longer than a socket's may be. */
static int zygote_connect(const char *dir)
{
	const struct timeval deadline = {.tv_sec = ANSWER_DEADLINE_S};
	_cleanup_close_ int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (dir_fd < 0 || fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/zygote", dir_fd);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof(deadline)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0 ||
		connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return steal_fd(&fd);
}

static int zygote_send_request(int fd, const char *name, const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(REQUEST_FDS * sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = (void *)name, .iov_len = strlen(name)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};

	control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int zygote_receive_pidfd(int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	int pidfd;

	if (n < 0)
		return -errno;
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPIPE;
	memcpy(&pidfd, CMSG_DATA(c), sizeof(pidfd));
	return pidfd;
}

int qemu_zygote_ask(int fd, const char *name, const int *fds, size_t n)
{
	int r = n <= REQUEST_FDS ? zygote_send_request(fd, name, fds, n) : -E2BIG;

	return r < 0 ? r : zygote_receive_pidfd(fd);
}

pid_t qemu_zygote_pid(int pidfd)
{
	_cleanup_free_ char *path = path_format("/proc/self/fdinfo/%d", pidfd), *text = NULL;
	const char *line;

	if (!path || read_file(AT_FDCWD, path, 4096, &text, NULL) < 0)
		return 0;
	line = strstr(text, "\nPid:");
	return line ? (pid_t)strtol(line + 5, NULL, 10) : 0;
}

/*
 * Before it has any thread but one, and while it waits for us, so that its process id is its own.
 * Control groups it enters itself.
 */
static int zygote_set_limits(int pidfd, const struct arrow_vm_limits *limits)
{
	pid_t pid = qemu_zygote_pid(pidfd);
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;

	if (pid <= 0) /* it is gone; 0 would be ourselves */
		return -ESRCH;
	if (limits->cpus && sched_setaffinity(pid, sizeof(*limits->cpus), limits->cpus) < 0)
		return -errno;
	if (limits->oom_score_adj == 0)
		return 0;
	path = path_format("/proc/%d/oom_score_adj", pid);
	fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
	return fd < 0 || dprintf(fd, "%d", limits->oom_score_adj) < 0 ? -errno : 0;
}

static int zygote_let_run(int fd)
{
	return send(fd, "G", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int qemu_zygote_fork(const struct arrow_vm_config *config,
	const struct qemu_zygote_request *request, int *pidfd, int *tie)
{
	_cleanup_close_ int process = -1;
	int fds[REQUEST_FDS] = {request->stderr_fd, request->qmp_fd, config->channel_fd,
		config->console_fd, config->share_fd};
	const struct arrow_vm_limits *limits = config->limits;
	size_t n = FIXED_FDS;
	_cleanup_close_ int fd = zygote_connect(config->cache_dir);
	int r;

	if (fd < 0)
		return fd;
	for (unsigned int i = 0; i < config->n_nics; i++)
		fds[n++] = config->nics[i].fd;
	for (unsigned int i = 0; i < config->n_disks; i++)
		fds[n++] = config->disks[i].fd;
	for (unsigned int i = 0; limits && i < limits->n_procs; i++)
		fds[n++] = limits->procs[i];
	process = r = qemu_zygote_ask(fd, request->name, fds, n);
	if (r >= 0)
		r = limits && (limits->cpus || limits->oom_score_adj != 0)
			    ? zygote_set_limits(process, limits)
			    : 0;
	/* Not before: one that is given up never runs, so its sockets can be given to another. */
	if (r == 0)
		r = zygote_let_run(fd);
	if (r < 0)
		return r; /* which closes the connection, and so ends the process */
	*pidfd = steal_fd(&process);
	*tie = steal_fd(&fd);
	return 0;
}

/* What a zygote is started with: as a clone, with numbers that are known beforehand. */
static int zygote_build_command(struct qemu_command *command, const struct qemu_program *program,
	const struct arrow_vm_config *like)
{
	struct arrow_disk disks[QEMU_ZYGOTE_DISKS];
	struct arrow_nic nics[QEMU_ZYGOTE_NICS];
	struct arrow_vm_config config = *like;

	for (unsigned int i = 0; i < like->n_nics; i++)
		nics[i] = (struct arrow_nic){
			.kind = like->nics[i].kind, .fd = QEMU_ZYGOTE_NIC + (int)i};
	config.nics = nics;

	for (unsigned int i = 0; i < like->n_disks; i++)
		disks[i].fd = QEMU_ZYGOTE_DISK + (int)i;
	config.disks = disks;
	config.channel_fd = QEMU_ZYGOTE_CHANNEL;
	config.console_fd = QEMU_ZYGOTE_CONSOLE;
	config.share_fd = QEMU_ZYGOTE_SHARE;
	return qemu_command_build(command, program, &config,
		&(struct qemu_ends){
			.qmp_fd = QEMU_ZYGOTE_QMP, .blocks_fd = QEMU_ZYGOTE_BLOCKS, .forks = true});
}

/* In a grandchild of the keeper: becomes the process that holds the zygote. */
static void __attribute__((noreturn)) zygote_become_holder(
	const struct arrow_vm_config *config, struct qemu_command *command, int lock_fd, bool forks)
{
	const struct arrow_engine_settings *settings = config->settings;
	int disk_fd = config->idle->disk();
	int kept[QEMU_ZYGOTE_NICS + KEPT_FDS] = {config->kernel_fd, config->initrd_fd,
		config->ram_fd, config->state_fd, lock_fd, disk_fd};
	char *environment[] = {NULL};
	char lock[12], ram[12], state[12], disk[12], disks[12], idle[12], most[12], base[24];
	char nics[QEMU_ZYGOTE_NICS * 12 + 1] = "";
	const char *head[] = {QEMU_ZYGOTE_NAME, config->cache_dir, lock, ram, state, disk, disks,
		nics, config->jail_root ? config->jail_root : "", forks ? "forks" : "blocks", idle,
		most, base, NULL};
	size_t n = sizeof(head) / sizeof(*head) - 1;
	char **argv = calloc(n + command->count + 1, sizeof(*argv));
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool apart = false;
	sigset_t none;

	/*
	 * Cards that lead nowhere, for its own time; sockets it makes itself. A tap is seen where
	 * it is made, so that is nobody's network.
	 */
	for (unsigned int i = 0; i < config->n_nics; i++) {
		bool tap = config->nics[i].kind == ARROW_NIC_TAP;
		int fd;

		if (tap && !apart && unshare(CLONE_NEWNET) < 0)
			_exit(1);
		apart |= tap;
		fd = tap ? config->idle->nic(ARROW_NIC_TAP) : -1;
		if (fd < 0 && tap)
			_exit(1);
		kept[KEPT_FDS + i] = fd;
		sprintf(nics + strlen(nics), "%d,", fd);
	}
	snprintf(lock, sizeof(lock), "%d", lock_fd);
	snprintf(ram, sizeof(ram), "%d", config->ram_fd);
	snprintf(state, sizeof(state), "%d", config->state_fd);
	snprintf(disk, sizeof(disk), "%d", disk_fd);
	snprintf(disks, sizeof(disks), "%u", config->n_disks);
	snprintf(idle, sizeof(idle), "%u", settings->zygote_idle_s);
	snprintf(most, sizeof(most), "%u", settings->zygote_forks);
	snprintf(base, sizeof(base), "%lu", settings->jail_uid_base);
	if (!argv || null_fd < 0 || disk_fd < 0)
		_exit(1);
	memcpy(argv, head, n * sizeof(*argv));
	memcpy(argv + n, command->argv, command->count * sizeof(*argv));
	for (int fd = 0; fd < 3; fd++)
		if (dup2(null_fd, fd) < 0)
			_exit(1);
	/* Nothing that the user's shell left open for `arrow` by mistake. */
	if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(1);
	for (size_t i = 0; i < KEPT_FDS + config->n_nics; i++)
		if (kept[i] >= 0 && fcntl(kept[i], F_SETFD, 0) < 0)
			_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* By execution: nothing of the keeper's memory, which has the job, stays for minutes. */
	execve("/proc/self/exe", argv, environment);
	_exit(1);
}

void qemu_zygote_note_crash(const char *dir)
{
	_cleanup_close_ int dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;

	fd = dir_fd < 0 ? -1
			: openat(dir_fd, "zygote.crashes",
				  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* A full disk counts as one too many. */
	if (write(fd, "!", 1) == 1 && fstat(fd, &st) == 0 && st.st_size < CRASHES_MAX)
		return;
	/* The blocks are bound to an address, which the next zygote draws anew without them. */
	unlinkat(dir_fd, "zygote", 0);
	unlinkat(dir_fd, "blocks", 0);
}

void qemu_zygote_begin(
	const struct qemu_program *program, const struct arrow_vm_config *config, bool forks)
{
	_cleanup_free_ char *path = path_format("%s/zygote.lock", config->cache_dir);
	_cleanup_close_ int lock_fd = -1;
	struct qemu_command command;
	pid_t pid;

	lock_fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (lock_fd < 0 || flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
		return; /* it is there, or on its way */
	if (zygote_build_command(&command, program, config) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		setsid();
		if (fork() == 0)
			zygote_become_holder(config, &command, lock_fd, forks);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	qemu_command_release(&command);
}
