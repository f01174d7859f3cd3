// SPDX-License-Identifier: Apache-2.0
#include "core/control/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

#define CONNECT_DEADLINE_MS 10000u
#define BACKLOG 64

/* The address by way of the directory's descriptor: a path may be longer than an address takes. */
static void set_address(struct sockaddr_un *address, int dir_fd)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/control", dir_fd);
}

int control_listen(const char *run_dir, struct arrow_error *error)
{
	_cleanup_close_ int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;

	if (dir < 0 || fd < 0)
		return arrow_fail(error, errno, "cannot make the control socket: %m");
	set_address(&address, dir);
	unlinkat(dir, "control", 0); /* of a keeper that was killed */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		return arrow_fail(
			error, errno, "cannot make the control socket %s/control: %m", run_dir);
	return steal_fd(&fd);
}

int control_connect(const struct arrow_instance *instance, struct arrow_error *error)
{
	uint64_t end = now_ms() + CONNECT_DEADLINE_MS;
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int err;

	if (fd < 0)
		return arrow_fail(error, errno, "cannot make a socket: %m");
	for (;;) {
		_cleanup_close_ int dir = open(instance->run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

		set_address(&address, dir);
		if (dir >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return steal_fd(&fd);
		err = errno;
		if (err != ENOENT && err != ECONNREFUSED && err != EAGAIN && err != EINTR)
			break;
		/* Just starting, or just ending: a keeper without a socket is one of the two. */
		if (!arrow_instance_is_kept(instance) || now_ms() >= end) {
			err = ESRCH;
			break;
		}
		usleep(2000);
	}
	if (err == ESRCH)
		return arrow_fail_status(
			error, 1, ESRCH, "Arrow %.12s is not running", instance->id);
	return arrow_fail(error, err, "cannot reach the keeper of Arrow %.12s: %m", instance->id);
}

/* The answer to a request, among the frames that come. Returns 0 for none yet. */
static int look_for_answer(struct channel *c, uint16_t request, struct control_answer *answer,
	struct arrow_error *error)
{
	struct arrow_answer got;
	struct arrow_frame f;
	const uint8_t *p;
	int r;

	while ((r = channel_next(c, &f, &p)) == 1) {
		if (f.stream != ARROW_CONTROL || f.type != ARROW_ANSWER ||
			arrow_answer_decode(p, f.length, &got) < 0 ||
			(got.request != request && (got.request != 0 || got.err == 0)))
			continue;
		if (got.err != 0 && got.size == 0) /* its run ended in the middle of the request */
			return arrow_fail_status(error, 1, (int)got.err,
				"the keeper of this Arrow could not do it: %m");
		if (got.err != 0)
			return arrow_fail_status(error, 1, (int)got.err, "%.*s", (int)got.size,
				(const char *)got.data);
		if (answer && got.size > 0) {
			answer->data = malloc(got.size);
			if (!answer->data)
				return arrow_fail(error, ENOMEM, "out of memory");
			answer->size = got.size;
			memcpy(answer->data, got.data, got.size);
		}
		return 1;
	}
	return r < 0 ? arrow_fail(error, -r, "the keeper of this Arrow sent a malformed frame") : 0;
}

int control_ask(const struct arrow_instance *instance, uint16_t request, const void *data,
	size_t size, unsigned int wait_ms, struct control_answer *answer, struct arrow_error *error)
{
	uint64_t end = now_ms() + wait_ms, now;
	struct channel c = {.fd = -1};
	int fd = control_connect(instance, error), r, filled = 0;

	if (fd < 0)
		return fd;
	r = channel_init(&c, fd);
	if (r == 0)
		r = channel_send(&c, ARROW_CONTROL, request, data, size);
	if (r < 0)
		r = arrow_fail(error, -r, "cannot ask the keeper of this Arrow: %m");
	while (r == 0) {
		struct pollfd p = {c.fd, (short)(POLLIN | (channel_pending(&c) ? POLLOUT : 0)), 0};

		/* One that refuses has said why before it closed its end. */
		if (channel_flush(&c) < 0) {
			(void)!channel_fill(&c);
			filled = -EPIPE;
		}
		r = look_for_answer(&c, request, answer, error);
		if (r == 0 && filled < 0)
			r = arrow_fail_status(
				error, 1, ESRCH, "Arrow %.12s is not running", instance->id);
		now = now_ms();
		if (r == 0 && wait_ms && now >= end)
			r = arrow_fail(error, ETIMEDOUT,
				"the keeper of Arrow %.12s does not answer", instance->id);
		if (r != 0)
			break;
		if (poll(&p, 1, wait_ms ? (int)(end - now) : -1) >= 0 && p.revents)
			filled = channel_fill(&c);
	}
	channel_release(&c);
	return r < 0 ? r : 0;
}
