// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/jail.h"
#include "engine/qemu/command.h"
#include "util/cleanup.h"

bool qemu_maps_private(const struct arrow_vm_config *config)
{
	return config->origin == ARROW_VM_CLONE || config->origin == ARROW_VM_RESTORED;
}

/* What QEMU inherits; everything else is closed by exec. */
static int spawn_keep_open(const struct qemu_process *s, bool namespaces)
{
	const struct arrow_vm_config *config = s->config;
	/* In a jail the keeper answers for memory that is mapped private. */
	bool ram = config->origin != ARROW_VM_COLD && (!qemu_maps_private(config) || !namespaces);
	const int fds[] = {config->kernel_fd, config->initrd_fd, config->channel_fd,
		config->console_fd, config->share_fd, s->qmp_fd, s->blocks_fd,
		ram ? config->ram_fd : -1, qemu_incoming_fd(config)};

	for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, 0) < 0)
			return -errno;
	for (unsigned int i = 0; i < config->n_disks; i++)
		if (config->disks[i].fd >= 0 && fcntl(config->disks[i].fd, F_SETFD, 0) < 0)
			return -errno;
	for (unsigned int i = 0; i < config->n_nics; i++)
		if (config->nics[i].fd >= 0 && fcntl(config->nics[i].fd, F_SETFD, 0) < 0)
			return -errno;
	return 0;
}

static void __attribute__((noreturn))
spawn_execute(const struct qemu_process *s, const struct arrow_jail *jail, int keeper)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), r;
	const char *what = "";
	sigset_t none;

	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 ||
		dup2(s->stderr_fd, 2) < 0)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	r = arrow_jail_enter(jail, keeper, &what);
	if (r < 0) {
		dprintf(2, "cannot set up its jail (%s): %s\n", what, strerror(-r));
		_exit(126);
	}
	if (spawn_keep_open(s, jail->namespaces) == 0)
		execve(s->program, s->argv, qemu_environment);
	dprintf(2, "cannot run %s: %s\n", s->program, strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Files that QEMU reads, by number. */
static unsigned int spawn_list_read_only(const struct qemu_process *s, int *fds)
{
	const struct arrow_vm_config *config = s->config;
	unsigned int n = 0;

	if (config->kernel_fd >= 0)
		fds[n++] = config->kernel_fd;
	for (unsigned int i = 0; i < config->n_disks; i++)
		if (config->disks[i].fd >= 0)
			fds[n++] = config->disks[i].fd;
	if (qemu_maps_private(config)) {
		fds[n++] = config->ram_fd;
		fds[n++] = config->state_fd;
	}
	if (s->blocks_fd >= 0)
		fds[n++] = s->blocks_fd;
	return n;
}

/* QEMU's own user-mode network is sockets of this host; every other one is a descriptor. */
static bool spawn_needs_network(const struct arrow_vm_config *config)
{
	for (unsigned int i = 0; i < config->n_nics; i++)
		if (config->nics[i].kind == ARROW_NIC_USER && config->origin != ARROW_VM_TEMPLATE)
			return true;
	return false;
}

pid_t qemu_spawn(const struct qemu_process *s)
{
	const struct arrow_vm_config *config = s->config;
	struct arrow_jail_mount mounts[ARROW_JAIL_MOUNTS];
	int fds[config->n_disks + 4];
	struct arrow_jail jail = {.root = config->jail_root,
		.mounts = mounts,
		.userns_fd = config->userns_fd,
		.kvm = config->mode->needs_kvm,
		.uid_base = config->settings->jail_uid_base,
		.network = spawn_needs_network(config),
		.limits = config->limits,
		.read_only = fds,
		.n_read_only = spawn_list_read_only(s, fds),
		.ram_fd = qemu_maps_private(config) ? config->ram_fd : -1,
		.write_fd = config->origin == ARROW_VM_COLD || qemu_maps_private(config)
				    ? -1
				    : config->ram_fd,
		.ram_socket = s->jail_fd};
	_cleanup_close_ int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0);
	pid_t pid;

	if (keeper < 0)
		return -errno;
	if (config->n_shares > ARROW_JAIL_MOUNTS)
		return -E2BIG;
	/* A template has the places of its clones' volumes, and nothing on them. */
	if (config->origin != ARROW_VM_TEMPLATE && config->origin != ARROW_VM_CONVERT)
		jail.n_mounts = config->n_shares;
	for (unsigned int i = 0; i < jail.n_mounts; i++)
		mounts[i] = (struct arrow_jail_mount){.fd = config->shares[i].fd,
			.read_only = config->shares[i].read_only,
			.file = config->shares[i].file};
	pid = arrow_jail_fork(&jail);
	if (pid == 0)
		spawn_execute(s, &jail, keeper);
	return pid;
}
