// SPDX-License-Identifier: Apache-2.0
#include "core/client/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/client/client.h"
#include "core/control/control.h"
#include "core/instance/instance.h"
#include "core/job/job.h"
#include "core/spec/settings.h"
#include "util/cleanup.h"
#include "util/fds.h"
#include "util/io.h"
#include "util/sigpipe.h"

#define NUMBER 2u     /* of the process, between a command and the keeper */
#define NOT_RUNNING 1 /* exit status, as Docker has it */

#define START_MS 60000u  /* for a process to start */
#define ANSWER_MS 60000u /* for what a worker says */
#define END_MS 10000u    /* for its end, once its streams are closed */

/* Connects to the keeper of an Arrow that runs. Returns the socket. */
static int exec_connect(
	const struct arrow_paths *paths, const char *name, struct arrow_error *error)
{
	struct arrow_instance instance;
	char id[ARROW_ID_HEX];
	int fd = arrow_instance_find(paths, name, id, error);

	if (fd == 0) {
		fd = arrow_instance_open(&instance, paths, id, NULL, error);
		if (fd == 0)
			fd = control_connect(&instance, error);
		arrow_instance_release(&instance);
	}
	if (fd < 0)
		error->status = NOT_RUNNING;
	return fd;
}

static int exec_send_frame(int fd, uint16_t type, const void *data, size_t size)
{
	uint8_t head[ARROW_FRAME_HEADER + ARROW_EXEC_HEAD];
	int r;

	arrow_frame_encode(head, (struct arrow_frame){.stream = ARROW_CONTROL,
					 .type = type,
					 .length = (uint32_t)size + ARROW_EXEC_HEAD});
	arrow_exec_encode(head + ARROW_FRAME_HEADER, NUMBER);
	r = write_full(fd, head, sizeof(head));
	return r == 0 && size > 0 ? write_full(fd, data, size) : r;
}

/* Says what to execute. The socket blocks; a keeper always reads. */
static int exec_send_request(int fd, const struct arrow_exec *exec, struct arrow_error *error)
{
	/* The keeper may refuse while we still write. */
	_cleanup_sigpipe_ struct sigpipe_block block = sigpipe_block();
	struct arrow_job job;
	int r = arrow_job_encode_exec(&job, exec, error);

	if (r < 0)
		return r;
	for (size_t at = 0; r == 0 && at < job.size;) {
		size_t n = job.size - at;

		if (n > ARROW_FRAME_MAX - ARROW_EXEC_HEAD)
			n = ARROW_FRAME_MAX - ARROW_EXEC_HEAD;
		r = exec_send_frame(fd, ARROW_EXEC, job.data + at, n);
		at += n;
	}
	if (r == 0)
		r = exec_send_frame(fd, ARROW_EXEC_END, NULL, 0);
	arrow_job_release(&job);
	/* A keeper that refuses closes its end, after it has said why. */
	return r < 0 && r != -EPIPE && r != -ECONNRESET
		       ? arrow_fail(error, -r, "cannot ask the keeper of this Arrow: %m")
		       : 0;
}

/* whole: all that a worker says has the time that else its next bytes have. */
static int exec_attend(int fd, const struct arrow_paths *paths, const struct arrow_exec *exec,
	bool whole, int *status, struct arrow_error *error)
{
	const struct arrow_spec spec = {
		.process.tty = exec->tty, .process.interactive = exec->interactive};
	const struct client_options options = {
		.spec = &spec,
		.process = NUMBER,
		.input = exec->interactive && !exec->detach,
		.output = !exec->detach,
		.leave = exec->detach,
		.detach_keys = exec->detach_keys,
		.take_signals = exec->take_signals,
		.notes = arrow_settings_notes(paths),
		.start_ms = START_MS,
		.answer_ms = exec->worker ? ANSWER_MS : 0,
		.whole = whole,
	};
	bool detached;
	int r;

	r = exec_send_request(fd, exec, error);
	if (r < 0) {
		close(fd);
		return r;
	}
	return client_run(fd, &options, status, &detached, error);
}

int arrow_exec(const struct arrow_paths *paths, const char *name, const struct arrow_exec *exec,
	int *status, struct arrow_error *error)
{
	struct arrow_exec sized = *exec; /* the rest stays the caller's */
	int fd;

	if (exec->tty && exec->interactive && !exec->detach && !isatty(STDIN_FILENO))
		return arrow_fail_status(error, 1, ENOTTY,
			"the input is not a terminal: leave out -t, or run it in a terminal");
	if (exec->tty)
		client_window(&sized.rows, &sized.columns);
	fd = exec_connect(paths, name, error);
	return fd < 0 ? fd : exec_attend(fd, paths, &sized, false, status, error);
}

/*
 * The process that carries a worker's streams: it ends with the one that started it. Of that one it
 * keeps nothing else open: pipes of other workers would never end.
 */
static void __attribute__((noreturn)) worker_carry(int fd, const struct arrow_paths *paths,
	const struct arrow_exec *exec, bool whole, int in, int out, int words, pid_t parent)
{
	_cleanup_error_ struct arrow_error error = ARROW_ERROR_INIT;
	const int keep[] = {fd, words};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int status = 0, r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null_fd < 0 || dup2(in >= 0 ? in : null_fd, 0) < 0 ||
		dup2(out, 1) < 0 || dup2(null_fd, 2) < 0)
		_exit(1);
	close_all_but(keep, sizeof(keep) / sizeof(*keep));
	r = exec_attend(fd, paths, exec, whole, &status, &error);
	if (r < 0 && error.text && write_full(words, error.text, strlen(error.text)) < 0)
		_exit(1);
	_exit(r < 0 ? 1 : 0);
}

static void close_pair(int pair[2])
{
	close_keep_errno(pair[0]);
	close_keep_errno(pair[1]);
}

int arrow_worker_start(const struct arrow_paths *paths, const char *name, const char *const *argv,
	unsigned int flags, struct arrow_worker *worker, struct arrow_error *error)
{
	bool input = flags & ARROW_WORKER_INPUT;
	struct arrow_exec exec = {.worker = true, .interactive = input};
	int in[2] = {-1, -1}, out[2] = {-1, -1}, words[2] = {-1, -1}, r = 0;
	pid_t parent = getpid();
	_cleanup_close_ int fd = exec_connect(paths, name, error);

	*worker = (struct arrow_worker){.in = -1, .out = -1, .words = -1, .carrier = -1};
	if (fd == -ESRCH) {
		arrow_error_clear(error);
		return arrow_fail_status(error, NOT_RUNNING, ESRCH,
			"Arrow %s is not running, and has files and processes only while it does: start it first, with 'arrow start'",
			name);
	}
	if (fd < 0)
		return fd;
	for (size_t i = 0; r == 0 && argv[i]; i++)
		r = arrow_strings_add(&exec.args, argv[i]);
	if (r < 0)
		r = arrow_fail(error, -r, "out of memory");
	else if ((input && pipe2(in, O_CLOEXEC) < 0) || pipe2(out, O_CLOEXEC) < 0 ||
		 pipe2(words, O_CLOEXEC) < 0)
		r = arrow_fail(error, errno, "cannot make a pipe: %m");
	if (r == 0) {
		worker->carrier = fork();
		if (worker->carrier < 0)
			r = arrow_fail(error, errno, "cannot make a process: %m");
	}
	if (worker->carrier == 0)
		worker_carry(steal_fd(&fd), paths, &exec, flags & ARROW_WORKER_SHORT, in[0], out[1],
			words[1], parent);
	arrow_strings_release(&exec.args);
	if (r < 0) {
		close_pair(in);
		close_pair(out);
		close_pair(words);
		return r;
	}
	close_keep_errno(in[0]);
	close(out[1]);
	close(words[1]);
	worker->in = in[1];
	worker->out = out[0];
	worker->words = words[0];
	return 0;
}

void arrow_worker_stop(struct arrow_worker *worker)
{
	/* The keeper sees that its command is gone, and has the worker killed. */
	if (worker->carrier > 0)
		kill(worker->carrier, SIGKILL);
	close_keep_errno(steal_fd(&worker->in));
	close_keep_errno(steal_fd(&worker->out));
	close_keep_errno(steal_fd(&worker->words));
	while (worker->carrier > 0 && waitpid(worker->carrier, NULL, 0) < 0 && errno == EINTR)
		;
	worker->carrier = -1;
}

/* Reads what there is up to the end, or up to the deadline (ms). Returns how much. */
static size_t worker_read_words(int fd, char *text, size_t room, uint64_t deadline)
{
	size_t used = 0;
	ssize_t n = 1;

	while (n != 0 && used < room && now_ms() < deadline) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (poll(&p, 1, (int)(deadline - now_ms())) > 0)
			n = read(fd, text + used, room - used);
		if (n > 0)
			used += (size_t)n;
	}
	return used;
}

int arrow_worker_end(struct arrow_worker *worker, int r, struct arrow_error *error)
{
	char text[ARROW_TEXT_MAX + 1];
	size_t n = 0;

	close_keep_errno(steal_fd(&worker->in));
	close_keep_errno(steal_fd(&worker->out));
	if (worker->words >= 0)
		n = worker_read_words(worker->words, text, sizeof(text) - 1, now_ms() + END_MS);
	arrow_worker_stop(worker);
	if (n == 0)
		return r;
	text[n] = '\0';
	arrow_error_clear(error);
	return arrow_fail_status(error, 1, EIO, "%s", text);
}

int arrow_worker_read(int fd, size_t max, char **text, size_t *size, struct arrow_error *error)
{
	_cleanup_free_ char *data = malloc(max + 1);
	ssize_t n = data ? read_full(fd, data, max + 1) : -ENOMEM;

	if (n < 0)
		return arrow_fail(error, (int)-n, "cannot read from the Arrow: %m");
	if ((size_t)n > max)
		return arrow_fail(error, EFBIG, "the Arrow sent more than %zu bytes", max);
	data[n] = '\0';
	*size = (size_t)n;
	*text = STEAL(data);
	return 0;
}

int arrow_worker_output(const struct arrow_paths *paths, const char *name, const char *const *argv,
	size_t max, char **text, size_t *size, struct arrow_error *error)
{
	_cleanup_free_ char *data = NULL;
	struct arrow_worker worker;
	int r;

	r = arrow_worker_start(paths, name, argv, ARROW_WORKER_SHORT, &worker, error);
	if (r < 0)
		return r;
	r = arrow_worker_read(worker.out, max, &data, size, error);
	r = arrow_worker_end(&worker, r, error);
	if (r == 0)
		*text = STEAL(data);
	return r;
}
