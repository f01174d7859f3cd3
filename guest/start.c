// SPDX-License-Identifier: Apache-2.0
#include "guest/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/cgroup.h"
#include "guest/tty.h"
#include "guest/user.h"
#include "guest/worker.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"

/*
 * Starts the program: vfork(), so that no memory is copied and a failure comes back in memory.
 * The child shares everything but descriptors, credentials and such with the loader, which sleeps
 * until execve(): it calls the kernel directly and leaves through _exit().
 */

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ID_FILE_MAX (4u * 1024u * 1024u) /* bytes of /etc/passwd, /etc/group */

/* musl comes without the kernel's headers; these are of linux/capability.h. */
#define CAPABILITY_VERSION_3 0x20080522u
struct cap_header {
	uint32_t version;
	int pid;
};
struct cap_data {
	uint32_t effective, permitted, inheritable;
};

struct start {
	const struct job *job;
	char **env;
	const char *path; /* PATH of the environment */
	struct user user;
	int stdio[3];
	bool tty, first;
	worker_main *worker; /* NULL for a program */
	struct stage *stage;
	char program[PATH_MAX]; /* as found in PATH */
	struct failure *failure;
};

static const char *start_get_env(char **env, const char *name)
{
	size_t length = strlen(name);

	for (char **e = env; *e; e++) {
		if (strncmp(*e, name, length) == 0 && (*e)[length] == '=')
			return *e + length + 1;
	}
	return NULL;
}

/* Only what the child shows on its way to execve(); the rest of struct start is made before. */
static int child_set_rlimits(struct start *s)
{
	const struct job *job = s->job;

	for (size_t i = 0; i < job->rlimit_count; i++) {
		const struct arrow_job_rlimit *r = &job->rlimits[i];
		struct rlimit limit = {.rlim_cur = r->soft, .rlim_max = r->hard};

		if (syscall(SYS_prlimit64, 0, r->resource, &limit, NULL) < 0)
			return fail(s->failure, 125, errno,
				"cannot set resource limit %u to %llu:%llu: %m", r->resource,
				(unsigned long long)r->soft, (unsigned long long)r->hard);
	}
	return 0;
}

/* Becomes the user with the job's capabilities: what root keeps, and nothing for others. */
static int child_drop_privileges(struct start *s)
{
	const struct user *user = &s->user;
	uint64_t caps = s->job->caps;

	/* The loader is root, in root's group alone. */
	if ((user->gid || user->group_count != 1 || user->groups[0]) &&
		(syscall(SYS_setgroups, user->group_count, user->groups) < 0 ||
			syscall(SYS_setresgid, user->gid, user->gid, user->gid) < 0))
		return fail(
			s->failure, 125, errno, "cannot set the groups of user %u: %m", user->uid);
	for (int cap = 0; cap < 64; cap++) {
		if ((caps >> cap & 1) || prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL)
			break; /* the kernel knows no more */
		return fail(s->failure, 125, errno, "cannot drop capability %d: %m", cap);
	}
	if (user->uid && syscall(SYS_setresuid, user->uid, user->uid, user->uid) < 0)
		return fail(s->failure, 125, errno, "cannot become user %u: %m", user->uid);
	if (user->uid == 0) {
		struct cap_header header = {.version = CAPABILITY_VERSION_3};
		struct cap_data data[2] = {
			{.effective = (uint32_t)caps, .permitted = (uint32_t)caps},
			{.effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32)},
		};

		if (syscall(SYS_capset, &header, data) < 0)
			return fail(s->failure, 125, errno, "cannot set the capabilities: %m");
	}
	if ((s->job->flags & ARROW_JOB_NO_NEW_PRIVS) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(s->failure, 125, errno, "cannot set no_new_privs: %m");
	return 0;
}

static int start_is_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* Why a name with a slash cannot be executed, before the kernel would look into it. */
static int start_check_program(struct start *s, const char *name)
{
	int r = start_is_executable(name);

	if (r == 0 && strlen(name) >= PATH_MAX)
		r = -ENAMETOOLONG;
	return r < 0 ? fail(s->failure, r == -ENOENT || r == -ENOTDIR ? 127 : 126, -r,
			       "exec: \"%s\": %s", name,
			       r == -ENOENT   ? "no such file or directory"
			       : r == -EACCES ? "permission denied"
			       : r == -EISDIR ? "is a directory"
					      : strerror(-r))
		     : 0;
}

/* What Docker says of the errors of execve(), and what is behind them. */
static int start_tell_failure(struct start *s, int err)
{
	const char *name = s->job->argv[0];

	switch (err) {
	case ENOENT:
		return fail(s->failure, 127, err,
			"exec: \"%s\": no such file or directory (its interpreter is missing in the root)",
			name);
	case EACCES:
		return fail(s->failure, 126, err, "exec: \"%s\": permission denied", name);
	case ENOEXEC:
		return fail(s->failure, 126, err, "exec: \"%s\": exec format error", name);
	case E2BIG:
		return fail(s->failure, 126, err,
			"exec: \"%s\": argument list too long; one string ends at 128 KiB, all at a quarter of the stack limit",
			name);
	default:
		return fail(s->failure, 126, err, "exec: \"%s\": %m", name);
	}
}

/*
 * Executes the program that argv[0] means; a name without a slash is looked for in PATH. The kernel
 * is asked first, and only when it refuses is it found out why.
 */
static void child_execute(struct start *s)
{
	const char *name = s->job->argv[0], *dir = s->path;
	int err;

	if (strchr(name, '/')) {
		execve(name, s->job->argv, s->env);
		err = errno;
		if (start_check_program(s, name) == 0)
			start_tell_failure(s, err);
		return;
	}
	while (*name && dir) {
		size_t length = strcspn(dir, ":");
		int n = snprintf(s->program, sizeof(s->program), "%.*s/%s",
			length ? (int)length : 1, length ? dir : ".", name);

		if (n > 0 && (size_t)n < sizeof(s->program)) {
			execve(s->program, s->job->argv, s->env);
			err = errno;
			if (start_is_executable(s->program) == 0) {
				start_tell_failure(s, err);
				return;
			}
		}
		dir = dir[length] ? dir + length + 1 : NULL;
	}
	fail(s->failure, 127, ENOENT, "exec: \"%s\": executable file not found in $PATH", name);
}

/* A session of its own with the three streams. */
static bool child_connect_stdio(struct start *s)
{
	setsid();
	if (s->tty && ioctl(s->stdio[0], TIOCSCTTY, 0) < 0) {
		fail(s->failure, 125, errno, "cannot take the terminal: %m");
		return false;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (dup2(s->stdio[fd], fd) < 0) {
			fail(s->failure, 125, errno, "cannot connect descriptor %d: %m", fd);
			return false;
		}
	}
	return true;
}

static void child_run(struct start *s)
{
	sigset_t none;

	if (!child_connect_stdio(s))
		return;
	umask(022);
	if (child_set_rlimits(s) < 0)
		return;
	if (chdir(s->job->cwd) < 0) {
		fail(s->failure, 126, errno, "cannot enter the working directory %s: %m",
			s->job->cwd);
		return;
	}
	if (child_drop_privileges(s) < 0)
		return;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	child_execute(s);
}

/* Not inlined, so that nothing of the child's frames is shared with code of the parent. */
static __attribute__((noinline)) pid_t start_program(struct start *s)
{
	pid_t pid = vfork();

	if (pid == 0) {
		child_run(s);
		_exit(127);
	}
	return pid;
}

/* A worker is the loader itself, forked, with nothing of it open but what a worker uses. */
static pid_t start_worker(struct start *s)
{
	pid_t pid = fork();
	sigset_t none;
	const int keep[] = {s->stage->upper, s->stage->lower, s->stage->sysctl, s->stage->driver};
	int argc = 0;

	if (pid != 0)
		return pid;
	if (!child_connect_stdio(s))
		_exit(125);
	close_all_but(keep, sizeof(keep) / sizeof(*keep));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	while (s->job->argv[argc])
		argc++;
	_exit(s->worker(s->stage, argc, s->job->argv));
}

/*
 * Reads a file of users, "/etc/...". The first program's root is still what the image holds, so it
 * is read there, where no link leads elsewhere: overlayfs would begin to keep book of /etc.
 */
static int start_read_ids(const struct start *s, const char *path, char **text)
{
	int image = s->stage->lower;
	struct stat etc, file;

	if (s->first && s->stage->mounted && s->job->mount_count == 0 &&
		fstatat(image, "etc", &etc, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(etc.st_mode)) {
		if (fstatat(image, path + 1, &file, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (S_ISREG(file.st_mode))
			return read_file(image, path + 1, ID_FILE_MAX, text, NULL);
	}
	return read_file(AT_FDCWD, path, ID_FILE_MAX, text, NULL);
}

/* Reads the root's users and finds the job's. A root without these files has none. */
static int start_find_user(struct start *s)
{
	_cleanup_free_ char *passwd = NULL;
	_cleanup_free_ char *group = NULL;
	char why[256];
	int r = start_read_ids(s, "/etc/passwd", &passwd);

	if (r < 0 && r != -ENOENT)
		return fail(s->failure, 125, -r, "cannot read /etc/passwd of the root: %m");
	r = start_read_ids(s, "/etc/group", &group);
	if (r < 0 && r != -ENOENT)
		return fail(s->failure, 125, -r, "cannot read /etc/group of the root: %m");
	r = user_find(
		passwd ? passwd : "", group ? group : "", s->job->user, &s->user, why, sizeof(why));
	if (r == 0)
		r = user_join(group ? group : "", s->job->groups, &s->user, why, sizeof(why));
	return r < 0 ? fail(s->failure, s->first ? 125 : 126, -r, "%s", why) : 0;
}

/* The job's environment with HOME, if it lacks it. The array and the string are of the caller. */
static int start_make_env(struct start *s, char ***env, char **home)
{
	size_t count = 0, kept = 0;
	const char *given = start_get_env(s->job->env, "HOME");

	while (s->job->env[count])
		count++;
	*env = calloc(count + 2, sizeof(**env));
	*home = malloc(sizeof("HOME=") + sizeof(s->user.home));
	if (!*env || !*home)
		return fail(s->failure, 125, ENOMEM, "cannot keep the environment: %m");
	for (size_t i = 0; i < count; i++) {
		if ((given && *given) || strncmp(s->job->env[i], "HOME=", 5) != 0)
			(*env)[kept++] = s->job->env[i];
	}
	if (!given || !*given) {
		stpcpy(stpcpy(*home, "HOME="), s->user.home);
		(*env)[kept] = *home;
	}
	s->env = *env;
	s->path = start_get_env(*env, "PATH");
	if (!s->path)
		s->path = DEFAULT_PATH;
	return 0;
}

/* That of a stream; those of the program's output are there already, and watched. */
static int start_make_pipe(struct start *s, struct process *p, int fd)
{
	int *ours = fd == 0 ? &p->in.fd : &p->out[fd - 1].fd, r = 0;

	if (s->first && fd > 0 && s->stage->ours[fd - 1] >= 0) {
		*ours = steal_fd(&s->stage->ours[fd - 1]);
		s->stdio[fd] = steal_fd(&s->stage->theirs[fd - 1]);
	} else {
		r = stage_pipe(fd == 0, &s->stdio[fd], ours);
	}
	return r < 0 ? fail(s->failure, 125, -r, "cannot make a pipe: %m") : 0;
}

static int start_make_stdio(struct start *s, struct process *p)
{
	bool carried = s->job->flags & ARROW_JOB_STDIN;
	int r;

	if (s->tty) {
		r = tty_open(s->job, s->first, &p->tty, &p->slave, s->failure);
		if (r < 0)
			return r;
		for (int fd = 0; fd < 3; fd++)
			s->stdio[fd] = fcntl(p->slave, F_DUPFD_CLOEXEC, 3);
		stage_close_pipes(s->stage);
		p->out[0].fd = p->tty;
		p->out[1].tell = true; /* stderr of a terminal is its stdout: the end, at once */
		p->in.fd = carried ? p->tty : -1;
	} else {
		r = carried ? start_make_pipe(s, p, 0) : 0;
		for (int fd = 1; r == 0 && fd < 3; fd++)
			r = start_make_pipe(s, p, fd);
		if (r < 0)
			return r;
		/* A privileged Arrow has another /dev. */
		if (!carried && s->first && !(s->job->flags & ARROW_JOB_PRIVILEGED))
			s->stdio[0] = steal_fd(&s->stage->null);
		else if (!carried)
			s->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (s->stdio[0] < 0 || s->stdio[1] < 0 || s->stdio[2] < 0)
		return fail(s->failure, 125, errno, "cannot open the program's streams: %m");
	/* So that the user may open them again by name, as /dev/stdout. */
	for (int fd = carried ? 0 : 1; fd < 3 && s->user.uid != 0; fd++) {
		if (fchown(s->stdio[fd], s->user.uid, (gid_t)-1) < 0)
			return fail(s->failure, 125, errno,
				"cannot give descriptor %d to user %u: %m", fd, s->user.uid);
	}
	if (!carried || p->in.ring)
		return 0;
	p->in.ring = mmap(
		NULL, ARROW_WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p->in.ring == MAP_FAILED) {
		p->in.ring = NULL;
		return fail(s->failure, 125, errno, "cannot make the buffer of stdin: %m");
	}
	return 0;
}

static void start_close_stdio(const struct start *s)
{
	for (int fd = 0; fd < 3; fd++)
		close_keep_errno(s->stdio[fd]);
}

static int start_launch(struct start *s, pid_t *pid)
{
	const struct job *job = s->job;
	bool held = cgroup_holds(job, s->first);
	int r = held ? cgroup_enter(s->job, s->first, s->failure) : 0;

	if (r < 0)
		return r;
	*pid = s->worker ? start_worker(s) : start_program(s);
	if (*pid < 0)
		r = fail(s->failure, 125, errno, "cannot make a process: %m");
	else if (s->failure->status)
		r = -s->failure->err;
	if (held && cgroup_leave() < 0 && r == 0)
		r = fail(s->failure, 125, errno, "cannot leave the cgroup of the program: %m");
	return r;
}

int start_process(struct stage *stage, const struct job *job, bool first, struct process *process,
	struct failure *failure)
{
	_cleanup_free_ struct start *s = calloc(1, sizeof(*s)); /* too large for the stack */
	_cleanup_free_ char **env = NULL;
	_cleanup_free_ char *home = NULL;
	/* Of the program some may have come already, see stream_expect(). */
	struct input in = first ? process->in : (struct input){.ring = NULL};
	pid_t pid = -1;
	int r;

	in.fd = -1;
	if (!s)
		return fail(failure, 125, ENOMEM, "cannot start the program: %m");
	s->stage = stage;
	s->job = job;
	s->first = first;
	s->failure = failure;
	s->tty = job->flags & ARROW_JOB_TTY;
	s->stdio[0] = s->stdio[1] = s->stdio[2] = -1;
	*process = (struct process){.tty = -1,
		.slave = -1,
		.in = in,
		.out = {{.fd = -1, .credit = ARROW_WINDOW}, {.fd = -1, .credit = ARROW_WINDOW}}};
	if (job->flags & ARROW_JOB_WORKER) {
		s->worker = worker_find(job->argv[0]);
		if (!s->worker)
			return fail(failure, 125, ENOENT,
				"the loader has no worker %.64s; the host is newer than it",
				job->argv[0]);
	}

	r = s->worker ? 0 : start_find_user(s);
	if (r == 0)
		r = start_make_env(s, &env, &home);
	if (r == 0)
		r = start_make_stdio(s, process);
	if (r == 0)
		r = start_launch(s, &pid);
	start_close_stdio(s);
	if (r < 0) {
		process_close_streams(process);
		return r;
	}
	process->pid = pid;
	process->used = true;
	process->alive = true;
	return 0;
}
