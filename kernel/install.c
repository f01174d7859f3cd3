// SPDX-License-Identifier: Apache-2.0
/* Kernels that images bring. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/kernel.h"
#include "kernel/store.h"
#include "util/cleanup.h"
#include "util/io.h"

#define PROFILE_MAX 32u
#define APPEND_MAX 512u
#define VCPUS_MAX 64
#define LOCK_WAIT_MS 60000u

static bool is_profile(const char *text)
{
	size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return size > 0 && size <= PROFILE_MAX && text[size] == '\0';
}

/* Words for a command line: nothing in it may look like something else. */
static bool is_append(const char *text)
{
	size_t i = 0;

	while (isgraph((unsigned char)text[i]) || text[i] == ' ')
		i++;
	return text[i] == '\0' && i <= APPEND_MAX;
}

/* What kernel.json will say, from what came with the kernel. Owned by the caller. */
static char *install_describe(const char *about, const char *id, const char *sha256)
{
	const char *profile, *digest, *append, *config;
	json_t *json = json_loads(about, 0, NULL), *own = NULL;
	char *text;
	int vcpus;

	if (json_unpack(json, "{s:s, s:s, s:s, s:s, s:i}", "profile", &profile, "sha256", &digest,
		    "config_sha256", &config, "append", &append, "vcpus_max", &vcpus) == 0 &&
		is_profile(profile) && is_append(append) && vcpus > 0 && vcpus <= VCPUS_MAX &&
		kernel_is_id(config) && strcmp(digest, sha256) == 0)
		own = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "id", id, "profile", profile,
			"sha256", sha256, "config_sha256", config, "append", append, "vcpus_max",
			vcpus, "image", true);
	text = own ? json_dumps(own, JSON_INDENT(2)) : NULL;
	json_decref(own);
	json_decref(json);
	return text;
}

static int install_copy(int dir, int from)
{
	_cleanup_close_ int to =
		openat(dir, "vmlinux", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	off_t at = 0;
	ssize_t n;

	if (to < 0)
		return -errno;
	while ((n = sendfile(to, from, &at, 1u << 30)) > 0)
		;
	return n < 0 || fsync(to) < 0 ? -errno : 0;
}

/* The caller holds the lock. */
static int write_folder(int kernels_fd, const char *id, const char *json, int vmlinux_fd)
{
	_cleanup_free_ char *temp = path_format(KERNEL_TEMP_PREFIX "%.12s", id);
	_cleanup_close_ int dir = -1;
	int r;

	if (!temp)
		return -ENOMEM;
	(void)remove_tree(kernels_fd, temp);
	if (mkdirat(kernels_fd, temp, 0755) < 0)
		return -errno;
	dir = openat(kernels_fd, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	r = dir < 0 ? -errno : install_copy(dir, vmlinux_fd);
	if (r == 0)
		r = write_file_atomic(dir, "kernel.json", 0644, json, strlen(json));
	if (r == 0 && (renameat(kernels_fd, temp, kernels_fd, id) < 0 || fsync(kernels_fd) < 0))
		r = -errno;
	if (r < 0)
		(void)remove_tree(kernels_fd, temp);
	return r;
}

bool arrow_kernel_is_there(const char *const *stores, const char *id)
{
	char found[DIGEST_HEX];

	for (; *stores; stores++) {
		_cleanup_close_ int fd = kernel_store_open(*stores, false);

		if (fd >= 0 && kernel_store_resolve(fd, id, found) == 0)
			return true;
	}
	return false;
}

int arrow_kernel_install(const char *store, const char *id, const char *about, int vmlinux_fd,
	struct arrow_error *error)
{
	_cleanup_close_ int fd = kernel_store_open(store, true), lock = -1;
	uint64_t end = now_ms() + LOCK_WAIT_MS;
	_cleanup_free_ char *json = NULL;
	char sha256[DIGEST_HEX], found[DIGEST_HEX];
	int r;

	if (fd < 0)
		return arrow_fail(error, -fd, "cannot write to the store of kernels: %m");
	r = digest_fd(vmlinux_fd, sha256);
	if (r < 0)
		return arrow_fail(error, -r, "cannot read the kernel: %m");
	json = kernel_is_id(id) ? install_describe(about, id, sha256) : NULL;
	if (!json)
		return arrow_fail(
			error, EBADMSG, "its description of the kernel does not match the kernel");
	while ((lock = kernel_store_lock(fd, error)) == -EWOULDBLOCK && now_ms() < end)
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	if (lock == -EWOULDBLOCK)
		return arrow_fail(error, EBUSY,
			"kernels are being built or removed: try again when that has ended");
	if (lock < 0)
		return lock;
	/* Another Arrow of the image may have been first. */
	if (kernel_store_resolve(fd, id, found) == 0)
		return 0;
	r = write_folder(fd, id, json, vmlinux_fd);
	return r < 0 ? arrow_fail(error, -r, "cannot store the kernel: %m") : 0;
}
