// SPDX-License-Identifier: Apache-2.0
#include "core/job/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/job/network.h"
#include "core/job/records.h"
#include "util/cleanup.h"
#include "util/io.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Linux gives argv and envp a quarter of the stack limit, which is 8 MiB, less a margin. */
#define EXEC_MAX (2u * 1024u * 1024u - 8192u)
#define JOB_MAX (ARROW_JOB_MAX - 4096u) /* without seed and clock, which come with each start */
#define EXEC_STRING_MAX (128u * 1024u)  /* MAX_ARG_STRLEN */

static void job_add_mount(struct arrow_job *job, const struct arrow_job_mount *mount)
{
	size_t size = arrow_record_mount_size(mount);
	_cleanup_free_ uint8_t *data = malloc(size);

	if (!data) {
		job->failed = -ENOMEM;
		return;
	}
	arrow_record_encode_mount(data, mount);
	job_add(job, ARROW_JOB_MOUNT, data, size);
}

/* Mounts go from the root down: /a before /a/b, whatever the order on the command line. */
struct pending_mount {
	const char *target;
	size_t volume; /* index, or SIZE_MAX */
	size_t tmpfs;
};

static unsigned int job_path_depth(const char *path)
{
	unsigned int n = 0;

	for (; *path; path++)
		n += path[0] == '/' && path[1] && path[1] != '/';
	return n;
}

static int job_compare_depth(const void *a, const void *b)
{
	unsigned int x = job_path_depth(((const struct pending_mount *)a)->target);
	unsigned int y = job_path_depth(((const struct pending_mount *)b)->target);

	return x < y ? -1 : x > y;
}

/*
 * As Docker: the first time it is used, a volume gets what the image has at its place. The guest
 * does it, so not where it cannot write.
 */
static bool job_fills_volume(const struct arrow_volume *v)
{
	return v->name && !v->no_copy && !v->subpath && !v->read_only;
}

static void job_add_mounts(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context)
{
	size_t n = spec->files.n_volumes + spec->files.n_tmpfs;
	_cleanup_free_ struct pending_mount *list = calloc(n + 1, sizeof(*list));
	char root[64] = "";

	if (!list) {
		job->failed = -ENOMEM;
		return;
	}
	/* Most roots are as the loader's is. */
	if (context->root_mode &&
		((context->root_mode & 07777) != 0755 || context->root_uid || context->root_gid))
		snprintf(root, sizeof(root), "mode=%o,uid=%u,gid=%u", context->root_mode & 07777,
			context->root_uid, context->root_gid);
	job_add_mount(job, &(struct arrow_job_mount){
				   .kind = ARROW_MOUNT_ROOT,
				   .flags = context->uniform ? ARROW_ROOT_UNIFORM : 0,
				   .source = "vda",
				   .target = "/",
				   .options = root,
			   });
	for (size_t i = 0; i < spec->files.n_volumes; i++)
		list[i] = (struct pending_mount){spec->files.volumes[i].guest, i, SIZE_MAX};
	for (size_t i = 0; i < spec->files.n_tmpfs; i++)
		list[spec->files.n_volumes + i] =
			(struct pending_mount){spec->files.tmpfs[i].guest, SIZE_MAX, i};
	qsort(list, n, sizeof(*list), job_compare_depth);

	for (size_t i = 0; i < n; i++) {
		char source[64];
		bool file;

		if (list[i].volume == SIZE_MAX) {
			const struct arrow_tmpfs *t = &spec->files.tmpfs[list[i].tmpfs];

			job_add_mount(job, &(struct arrow_job_mount){ARROW_MOUNT_TMPFS, t->flags,
						   "tmpfs", t->guest, t->options});
			continue;
		}
		file = context->files[list[i].volume];
		snprintf(source, sizeof(source), ARROW_SHARES_TAG "/%s%zu", file ? "f" : "",
			list[i].volume);
		job_add_mount(job,
			&(struct arrow_job_mount){
				.kind = file ? ARROW_MOUNT_SHARE_FILE : ARROW_MOUNT_SHARE,
				.flags = spec->files.volumes[list[i].volume].read_only ? MS_RDONLY
										       : 0,
				.source = source,
				.target = list[i].target,
				.options = job_fills_volume(&spec->files.volumes[list[i].volume])
						   ? ARROW_MOUNT_FILL
						   : "",
			});
	}
}

/* Counts what execve will count, so that the error comes here, with words. */
static int job_check_exec_size(const char *text, size_t *total, struct arrow_error *error)
{
	size_t n = strlen(text) + 1;

	if (n > EXEC_STRING_MAX)
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, E2BIG,
			"an argument or variable of %zu bytes is longer than Linux allows (%u): '%.32s...'",
			n, EXEC_STRING_MAX, text);
	*total += n + sizeof(char *);
	if (*total > EXEC_MAX)
		return arrow_fail_status(error, ARROW_STATUS_NOT_EXEC, E2BIG,
			"arguments and environment are longer than Linux allows (%u bytes together)",
			EXEC_MAX);
	return 0;
}

/* The environment is kept in a list, so that a later value replaces an earlier one. */
static int job_set_env(struct arrow_strings *env, const char *pair)
{
	size_t name = strcspn(pair, "=") + 1;

	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], pair, name) == 0) {
			char *copy = strdup(pair);

			if (!copy)
				return -ENOMEM;
			free(env->v[i]);
			env->v[i] = copy;
			return 0;
		}
	}
	return arrow_strings_add(env, pair);
}

static int job_add_env(struct arrow_job *job, const struct arrow_spec *spec, const char *hostname,
	size_t *total, struct arrow_error *error)
{
	struct arrow_strings env = {0};
	_cleanup_free_ char *host = path_format("HOSTNAME=%s", hostname);
	int r;

	/* HOME comes from the loader, which knows the user's entry. */
	r = host ? job_set_env(&env, DEFAULT_PATH) : -ENOMEM;
	if (r == 0)
		r = job_set_env(&env, host);
	if (r == 0 && spec->process.tty)
		r = job_set_env(&env, "TERM=xterm");
	for (size_t i = 0; r == 0 && i < spec->process.env.n; i++)
		r = job_set_env(&env, spec->process.env.v[i]);
	if (r < 0)
		r = arrow_fail(error, -r, "out of memory");
	for (size_t i = 0; r == 0 && i < env.n; i++) {
		r = job_check_exec_size(env.v[i], total, error);
		job_add_string(job, ARROW_JOB_ENV, env.v[i]);
	}
	arrow_strings_release(&env);
	return r;
}

static int job_add_args(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, size_t *total, struct arrow_error *error)
{
	const char *first =
		spec->process.entrypoint ? spec->process.entrypoint : context->entrypoint;
	int r;

	if (first) {
		job_add_string(job, ARROW_JOB_ARG, first);
		r = job_check_exec_size(first, total, error);
		if (r < 0)
			return r;
	} else if (spec->process.args.n == 0 && spec->source.image) {
		return arrow_fail(error, EINVAL,
			"no command: the image %s has no default command; name a program in it, as in 'arrow run %s /bin/sh'",
			spec->source.image, spec->source.image);
	} else if (spec->process.args.n == 0) {
		return arrow_fail(error, EINVAL,
			"no command: name a program in %s, as in 'arrow run --rootfs %s /bin/sh'",
			spec->source.rootfs, spec->source.rootfs);
	}
	for (size_t i = 0; i < spec->process.args.n; i++) {
		job_add_string(job, ARROW_JOB_ARG, spec->process.args.v[i]);
		r = job_check_exec_size(spec->process.args.v[i], total, error);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint32_t job_find_flags(const struct arrow_spec *spec)
{
	uint32_t flags = 0;

	if (spec->process.tty)
		flags |= ARROW_JOB_TTY;
	if (spec->process.interactive)
		flags |= ARROW_JOB_STDIN;
	if (spec->files.read_only)
		flags |= ARROW_JOB_READ_ONLY;
	if (spec->process.privileged)
		flags |= ARROW_JOB_PRIVILEGED;
	if (spec->process.no_new_privs)
		flags |= ARROW_JOB_NO_NEW_PRIVS;
	if (spec->verbose)
		flags |= ARROW_JOB_NOTES;
	return flags;
}

/* The machine-id is the Arrow's own, made of its id. */
static void job_add_machine_id(struct arrow_job *job, const char *id)
{
	uint8_t data[16];

	for (size_t i = 0; i < sizeof(data); i++) {
		unsigned int byte = 0;

		sscanf(id + 2 * i, "%2x", &byte);
		data[i] = (uint8_t)byte;
	}
	job_add(job, ARROW_JOB_MACHINE_ID, data, sizeof(data));
}

static void job_add_window(struct arrow_job *job, bool tty, uint16_t rows, uint16_t columns)
{
	uint8_t data[ARROW_JOB_WINSIZE_BYTES];

	if (!tty)
		return;
	arrow_record_encode_winsize(data, &(struct arrow_job_winsize){rows, columns});
	job_add(job, ARROW_JOB_WINSIZE, data, sizeof(data));
}

static void job_add_clock(struct arrow_job *job)
{
	uint8_t data[ARROW_JOB_CLOCK_BYTES];
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	arrow_record_encode_clock(
		data, &(struct arrow_job_clock){(uint64_t)now.tv_sec, (uint32_t)now.tv_nsec});
	job_add(job, ARROW_JOB_CLOCK, data, sizeof(data));
}

static void job_add_rlimits(struct arrow_job *job, const struct arrow_spec *spec)
{
	for (size_t i = 0; i < spec->process.n_ulimits; i++) {
		uint8_t data[ARROW_JOB_RLIMIT_BYTES];

		arrow_record_encode_rlimit(
			data, &(struct arrow_job_rlimit){
				      .resource = (uint32_t)spec->process.ulimits[i].resource,
				      .soft = spec->process.ulimits[i].soft,
				      .hard = spec->process.ulimits[i].hard,
			      });
		job_add(job, ARROW_JOB_RLIMIT, data, sizeof(data));
	}
}

/* The names that it knows, and its place in the network. */
static void job_add_place(struct arrow_job *job, const struct arrow_spec *spec,
	const struct net_attachment *network, const char *hostname)
{
	const char *domain = spec->net.domainname;
	_cleanup_free_ char *names = path_format("%s%s%s%s%s", domain ? hostname : "",
		domain ? "." : "", domain ? domain : "", domain ? " " : "", hostname);

	for (size_t i = 0; i < spec->net.hosts.n; i++)
		job_add_string(job, ARROW_JOB_HOSTS, spec->net.hosts.v[i]);
	if (names)
		job_add_network(job, network, names);
	else
		job->failed = -ENOMEM;
	job_add_resolv(job, spec, network);
}

static void job_add_names(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, const char *hostname)
{
	const struct net_attachment none = {0};

	job_add_string(job, ARROW_JOB_HOSTNAME, hostname);
	job_add_place(job, spec, context->network ? context->network : &none, hostname);
}

static void job_add_domain(struct arrow_job *job, const char *domain)
{
	_cleanup_free_ char *sysctl = domain ? path_format("kernel.domainname=%s", domain) : NULL;

	if (sysctl)
		job_add_string(job, ARROW_JOB_SYSCTL, sysctl);
	else if (domain)
		job->failed = -ENOMEM;
}

static void job_add_limits(struct arrow_job *job, const struct arrow_spec *spec)
{
	if (spec->limits.millicpus % 1000) /* whole CPUs are vCPUs */
		job_add_u32(job, ARROW_JOB_CPU_MAX, spec->limits.millicpus);
	if (spec->limits.pids_max)
		job_add_u32(job, ARROW_JOB_PIDS_MAX, spec->limits.pids_max);
}

static void job_make_hostname(
	char text[ARROW_TEXT_MAX], const struct arrow_spec *spec, const char *id)
{
	snprintf(text, ARROW_TEXT_MAX, "%.*s", spec->net.hostname ? 64 : 12,
		spec->net.hostname ? spec->net.hostname : id);
}

static int job_finish(struct arrow_job *job, struct arrow_error *error)
{
	int r = 0;

	job->stable = job->size;
	if (job->failed == -E2BIG || job->size > JOB_MAX) {
		r = arrow_fail(error, E2BIG,
			"the arguments, variables, hosts and other options of an Arrow take more than %u MiB: leave some out",
			ARROW_JOB_MAX >> 20);
		arrow_job_release(job);
	} else if (job->failed) {
		r = arrow_fail(error, -job->failed, "cannot encode the job: %m");
		arrow_job_release(job);
	}
	return r;
}

int arrow_job_encode_identity(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, struct arrow_error *error)
{
	char hostname[ARROW_TEXT_MAX];

	memset(job, 0, sizeof(*job));
	job->end = ARROW_RESTORE;
	job_make_hostname(hostname, spec, context->id);
	job_add_u32(job, ARROW_JOB_FLAGS, job_find_flags(spec));
	job_add_names(job, spec, context, hostname);
	job_add_window(job, spec->process.tty, context->rows, context->columns);
	job_add_machine_id(job, context->id);
	job_add_string(job, ARROW_JOB_ID, context->id);
	job_add_string(job, ARROW_JOB_NAME, context->name);
	if (spec->vm.restore_signal)
		job_add_u32(job, ARROW_JOB_RESTORE_SIGNAL, spec->vm.restore_signal);
	return job_finish(job, error);
}

int arrow_job_encode(struct arrow_job *job, const struct arrow_spec *spec,
	const struct arrow_job_context *context, struct arrow_error *error)
{
	char hostname[ARROW_TEXT_MAX];
	size_t total = 0;
	int r;

	memset(job, 0, sizeof(*job));
	job->end = ARROW_JOB_END;
	job_make_hostname(hostname, spec, context->id);
	job_add_u32(job, ARROW_JOB_FLAGS, job_find_flags(spec));
	r = job_add_args(job, spec, context, &total, error);
	if (r == 0)
		r = job_add_env(job, spec, hostname, &total, error);
	if (r < 0) {
		arrow_job_release(job);
		return r;
	}

	if (spec->process.workdir)
		job_add_string(job, ARROW_JOB_CWD, spec->process.workdir);
	if (spec->process.user)
		job_add_string(job, ARROW_JOB_USER, spec->process.user);
	for (size_t i = 0; i < spec->process.groups.n; i++)
		job_add_string(job, ARROW_JOB_GROUP, spec->process.groups.v[i]);
	job_add_names(job, spec, context, hostname);
	job_add_mounts(job, spec, context);
	job_add_rlimits(job, spec);
	job_add_u64(job, ARROW_JOB_CAPS, spec->process.caps);
	for (size_t i = 0; i < spec->process.sysctls.n; i++)
		job_add_string(job, ARROW_JOB_SYSCTL, spec->process.sysctls.v[i]);
	job_add_domain(job, spec->net.domainname);
	job_add_u64(job, ARROW_JOB_SHM_SIZE, spec->files.shm_size);
	job_add_limits(job, spec);
	job_add_window(job, spec->process.tty, context->rows, context->columns);
	job_add_machine_id(job, context->id);
	return job_finish(job, error);
}

int arrow_job_encode_exec(
	struct arrow_job *job, const struct arrow_exec *exec, struct arrow_error *error)
{
	uint32_t flags = (exec->tty ? ARROW_JOB_TTY : 0) |
			 (exec->interactive ? ARROW_JOB_STDIN : 0) |
			 (exec->privileged ? ARROW_JOB_PRIVILEGED : 0) |
			 (exec->worker ? ARROW_JOB_WORKER : 0);
	struct arrow_strings env = {0};
	size_t total = 0;
	int r = 0;

	memset(job, 0, sizeof(*job));
	job_add_u32(job, ARROW_JOB_FLAGS, flags);
	for (size_t i = 0; r == 0 && i < exec->args.n; i++) {
		r = job_check_exec_size(exec->args.v[i], &total, error);
		job_add_string(job, ARROW_JOB_ARG, exec->args.v[i]);
	}
	if (r == 0 && exec->tty && job_set_env(&env, "TERM=xterm") < 0)
		r = arrow_fail(error, ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < exec->env.n; i++) {
		if (job_set_env(&env, exec->env.v[i]) < 0)
			r = arrow_fail(error, ENOMEM, "out of memory");
	}
	for (size_t i = 0; r == 0 && i < env.n; i++) {
		r = job_check_exec_size(env.v[i], &total, error);
		job_add_string(job, ARROW_JOB_ENV, env.v[i]);
	}
	arrow_strings_release(&env);
	if (exec->workdir)
		job_add_string(job, ARROW_JOB_CWD, exec->workdir);
	if (exec->user)
		job_add_string(job, ARROW_JOB_USER, exec->user);
	job_add_window(job, exec->tty, exec->rows, exec->columns);
	if (r == 0 && job->failed)
		r = arrow_fail(error, -job->failed, "cannot encode the command: %m");
	if (r < 0)
		arrow_job_release(job);
	return r;
}

int arrow_job_refresh(struct arrow_job *job)
{
	uint8_t seed[32];

	job->size = job->stable;
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	job_add(job, ARROW_JOB_SEED, seed, sizeof(seed));
	job_add_clock(job);
	return job->failed;
}

int arrow_job_limit(struct arrow_job *job, const struct arrow_spec *spec)
{
	job_take_out(job, JOB_BIT(ARROW_JOB_CPU_MAX) | JOB_BIT(ARROW_JOB_PIDS_MAX));
	job_add_limits(job, spec);
	job->stable = job->size;
	return job->failed;
}

int arrow_job_place(struct arrow_job *job, const struct arrow_spec *spec, const char *id,
	const struct net_attachment *network)
{
	char hostname[ARROW_TEXT_MAX];

	job_take_out(job, JOB_BIT(ARROW_JOB_NIC) | JOB_BIT(ARROW_JOB_ADDRESS) |
				  JOB_BIT(ARROW_JOB_ROUTE) | JOB_BIT(ARROW_JOB_HOSTS) |
				  JOB_BIT(ARROW_JOB_RESOLV));
	job_make_hostname(hostname, spec, id);
	job_add_place(job, spec, network, hostname);
	job->stable = job->size;
	return job->failed;
}

void arrow_job_release(struct arrow_job *job)
{
	free(job->data);
	memset(job, 0, sizeof(*job));
}
