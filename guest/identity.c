// SPDX-License-Identifier: Apache-2.0
#include "guest/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* What makes an Arrow differ from every other clone of its template. */

/* musl comes without the kernel's headers; these are of linux/random.h. */
#define RNDADDENTROPY _IOW('R', 0x03, int[2])
#define RNDRESEEDCRNG _IO('R', 0x07)

static int random_fd = -1; /* opened before there is a job, as all that costs time then */

int identity_prepare(void)
{
	random_fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	return random_fd < 0 ? -errno : 0;
}

static int identity_reseed(const struct job *job)
{
	struct {
		int bits, bytes;
		uint8_t data[sizeof(job->seed)];
	} entropy = {.bits = 8 * sizeof(job->seed), .bytes = sizeof(job->seed)};
	if (random_fd < 0)
		return -EBADF;
	memcpy(entropy.data, job->seed, sizeof(job->seed));
	/* In this order: entropy alone leaves a generator that was seeded in the template as it is.
	 */
	if (ioctl(random_fd, RNDADDENTROPY, &entropy) < 0 || ioctl(random_fd, RNDRESEEDCRNG) < 0)
		return -errno;
	return 0;
}

int identity_unique(const struct job *job, struct failure *failure)
{
	struct timespec now = {
		.tv_sec = (time_t)job->clock.seconds, .tv_nsec = job->clock.nanoseconds};
	int r = identity_reseed(job);

	if (r < 0)
		return fail(failure, 125, -r, "cannot seed the guest's random numbers: %m");
	if (job->clock.seconds && clock_settime(CLOCK_REALTIME, &now) < 0)
		return fail(failure, 125, errno, "cannot set the guest's clock: %m");
	if (job->hostname && sethostname(job->hostname, strlen(job->hostname)) < 0)
		return fail(failure, 125, errno,
			"cannot set the host name %.64s: %m; use at most 64 characters",
			job->hostname);
	return 0;
}

void identity_loopback(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	/* A kernel without a network has no lo, and no program that misses it. */
	if (fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		errno = 0;
}

int identity_sysctls(const struct stage *stage, const struct job *job, struct failure *failure)
{
	for (char **s = job->sysctls; *s; s++) {
		_cleanup_free_ char *name = strdup(*s);
		_cleanup_close_ int fd = -1;
		char *value = name ? strchr(name, '=') : NULL;
		int r;

		/* As dots become slashes, a name can only lead down from /proc/sys. */
		if (!value || *name == '.' || *name == '/')
			return fail(failure, 125, EINVAL, "the sysctl %s is not NAME=VALUE", *s);
		*value++ = '\0';
		for (char *p = name; *p; p++) {
			if (*p == '.')
				*p = '/';
		}
		fd = openat(stage->sysctl, name, O_WRONLY | O_CLOEXEC);
		r = fd < 0 ? -errno : write_full(fd, value, strlen(value));
		if (r < 0)
			return fail(failure, 125, -r,
				"cannot set the sysctl %s: %m; the guest's kernel may lack it", *s);
	}
	return 0;
}

/* /etc of a root, or of the layer of changes below it. */
struct etc {
	int dir;
	int image; /* what is there is looked for in this one */
	bool ours; /* nobody has seen it: what is there is empty, and the loader's own */
};

/* Writes a file of /etc anew, so that a link in its place leads nowhere. */
static int identity_replace_file(const struct etc *etc, const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;

	if (!etc->ours && unlinkat(etc->dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(
		etc->dir, name, O_WRONLY | O_CREAT | (etc->ours ? 0 : O_EXCL) | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : write_full(fd, text, strlen(text));
}

/* True if a line "address name..." of the job names the host. */
static bool identity_set_names(const char *line, const char *hostname)
{
	size_t length = strlen(hostname);

	while (*line) {
		line += strcspn(line, " \t");
		line += strspn(line, " \t");
		if (strncmp(line, hostname, length) == 0 && strchr(" \t", line[length]))
			return true;
	}
	return false;
}

#define COMMON_HOSTS                                                                               \
	"127.0.0.1\tlocalhost\n"                                                                   \
	"::1\tlocalhost ip6-localhost ip6-loopback\n"                                              \
	"fe00::\tip6-localnet\n"                                                                   \
	"ff00::\tip6-mcastprefix\n"                                                                \
	"ff02::1\tip6-allnodes\n"                                                                  \
	"ff02::2\tip6-allrouters\n"

static int identity_write_hosts(const struct job *job, const struct etc *etc)
{
	bool named = !job->hostname;
	size_t size = sizeof(COMMON_HOSTS) + sizeof("127.0.0.1\t\n") +
		      (named ? 0 : strlen(job->hostname));
	_cleanup_free_ char *text = NULL;
	char *at;

	for (char **h = job->hosts; *h; h++)
		size += strlen(*h) + 2;
	text = malloc(size);
	if (!text)
		return -ENOMEM;
	at = stpcpy(text, COMMON_HOSTS);
	for (char **h = job->hosts; *h; h++) {
		size_t address = strcspn(*h, " \t");
		const char *name = *h + address + strspn(*h + address, " \t");

		at = stpcpy(mempcpy(at, *h, address), "\t");
		at = stpcpy(stpcpy(at, name), "\n");
		named = named || identity_set_names(*h, job->hostname);
	}
	/* Without a network of its own, an Arrow finds itself on the loopback. */
	if (!named)
		stpcpy(stpcpy(stpcpy(at, "127.0.0.1\t"), job->hostname), "\n");
	return identity_replace_file(etc, "hosts", text);
}

static int identity_write_machine_id(const struct job *job, const struct etc *etc)
{
	char text[2 * sizeof(job->machine_id) + 2], *at = text;
	struct stat st;

	if (!job->has_machine_id ||
		(fstatat(etc->image, "machine-id", &st, 0) == 0 && st.st_size > 0))
		return etc->ours && unlinkat(etc->dir, "machine-id", 0) < 0 ? -errno : 0;
	for (size_t i = 0; i < sizeof(job->machine_id); i++) {
		*at++ = "0123456789abcdef"[job->machine_id[i] >> 4];
		*at++ = "0123456789abcdef"[job->machine_id[i] & 15];
	}
	stpcpy(at, "\n");
	return identity_replace_file(etc, "machine-id", text);
}

static int identity_link_mtab(const struct etc *etc)
{
	struct stat st;

	if (etc->ours && fstatat(etc->image, "mtab", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return unlinkat(etc->dir, "mtab", 0) < 0 ? -errno : 0;
	return etc->ours || symlinkat("/proc/mounts", etc->dir, "mtab") == 0 || errno == EEXIST
		       ? 0
		       : -errno;
}

void identity_forget_machine(const uint8_t machine_id[16])
{
	_cleanup_free_ char *now = NULL;
	char text[40];

	for (size_t i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", machine_id[i]);
	if (read_file(AT_FDCWD, "/etc/machine-id", 64, &now, NULL) == 0 &&
		strncmp(now, text, 32) == 0)
		unlink("/etc/machine-id");
}

static int identity_write_resolver(const struct job *job, const struct etc *etc)
{
	return job->resolv ? identity_replace_file(etc, "resolv.conf", job->resolv) : 0;
}

static int identity_write_files(
	const struct job *job, const struct etc *etc, struct failure *failure)
{
	char name[72];
	int r = 0;

	if (job->hostname) {
		stpcpy(stpncpy(name, job->hostname, 64), "\n");
		r = identity_replace_file(etc, "hostname", name);
	} else if (etc->ours && unlinkat(etc->dir, "hostname", 0) < 0) {
		r = -errno;
	}
	if (r < 0)
		return fail(failure, 125, -r, "cannot write /etc/hostname: %m");
	r = identity_write_hosts(job, etc);
	if (r < 0)
		return fail(failure, 125, -r, "cannot write /etc/hosts: %m");
	r = identity_write_resolver(job, etc);
	if (r < 0)
		return fail(failure, 125, -r, "cannot write /etc/resolv.conf: %m");
	r = identity_write_machine_id(job, etc);
	if (r < 0)
		return fail(failure, 125, -r, "cannot write /etc/machine-id: %m");
	r = identity_link_mtab(etc);
	return r < 0 ? fail(failure, 125, -r, "cannot make /etc/mtab: %m") : 0;
}

int identity_resolver(const struct job *job)
{
	_cleanup_close_ int dir = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno
		       : identity_write_resolver(job, &(struct etc){.dir = dir, .image = dir});
}

int identity_files(const struct job *job, struct failure *failure)
{
	_cleanup_close_ int dir = -1;

	if (mkdir("/etc", 0755) < 0 && errno != EEXIST)
		return fail(failure, 125, errno, "cannot make /etc in the root: %m");
	dir = open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(failure, 125, errno, "cannot open /etc of the root: %m");
	return identity_write_files(job, &(struct etc){.dir = dir, .image = dir}, failure);
}

int identity_files_beside(const struct job *job, int dir, int image, struct failure *failure)
{
	return identity_write_files(
		job, &(struct etc){.dir = dir, .image = image, .ours = true}, failure);
}
