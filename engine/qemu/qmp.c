// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* The id of the commands whose answer counts as a sign of life. */
#define ID_STATUS "status"

/* And of those that ask whether a VM that was saved may go on already. */
#define ID_FINAL "final"

static int qmp_send(struct qmp *qmp, const char *text)
{
	size_t size = strlen(text);
	ssize_t n = send(qmp->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EAGAIN;
}

/*
 * x-ignore-shared leaves out memory that is a shared file: the template's RAM file has it already.
 * Both sides must agree on it. With `events` the end of a migration is told, not asked for.
 */
#define CAPABILITIES                                                                               \
	"{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["              \
	"{\"capability\":\"x-ignore-shared\",\"state\":%s},"                                       \
	"{\"capability\":\"events\",\"state\":true}]}}\n"

#define MIGRATE "{\"execute\":\"%s\",\"arguments\":{\"uri\":\"fd:%s\"}}\n"

/* Memory goes to a file: the default, 128 MiB/s, is meant for a network. */
#define BANDWIDTH                                                                                  \
	"{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":"                \
	"1099511627776}}\n"

static void qmp_ask_final(struct qmp *qmp)
{
	(void)qmp_send(qmp, "{\"execute\":\"query-status\",\"id\":\"" ID_FINAL "\"}\n");
}

static int qmp_send_migrate(
	struct qmp *qmp, const char *command, const char *from, enum qmp_content content)
{
	char text[768];

	snprintf(text, sizeof(text), CAPABILITIES "%s" MIGRATE,
		content == QMP_DEVICES ? "true" : "false", content == QMP_WHOLE ? BANDWIDTH : "",
		command, from);
	return qmp_send(qmp, text);
}

/* Gives QEMU a descriptor under a name: some commands take no inherited one. */
static int qmp_send_fd(struct qmp *qmp, int fd, const char *name)
{
	char text[96];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = text};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	part.iov_len = (size_t)snprintf(text, sizeof(text),
		"{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"%s\"}}\n", name);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(qmp->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int qmp_write_blocks(struct qmp *qmp, int fd)
{
	int r = qmp_send_fd(qmp, fd, "blocks");

	return r < 0 ? r
		     : qmp_send(qmp,
			       "{\"execute\":\"x-arrow-blocks\",\"arguments\":{\"fdname\":\"blocks\"}}\n");
}

int qmp_save(struct qmp *qmp, int fd, enum qmp_content content)
{
	int r = qmp_send_fd(qmp, fd, "state");

	if (r < 0)
		return r;
	qmp->saved = false;
	qmp->saving = true;
	free(qmp->error);
	qmp->error = NULL;
	return qmp_send_migrate(qmp, "migrate", "state", content);
}

void qmp_stop(struct qmp *qmp)
{
	/* One that cannot be sent is missed by the caller, who waits for its end. */
	(void)qmp_send(qmp, "{\"execute\":\"stop\"}\n");
}

void qmp_cont(struct qmp *qmp)
{
	(void)qmp_send(qmp, "{\"execute\":\"cont\"}\n");
}

int qmp_balloon(struct qmp *qmp, uint64_t bytes)
{
	char text[96];

	snprintf(text, sizeof(text), "{\"execute\":\"balloon\",\"arguments\":{\"value\":%llu}}\n",
		(unsigned long long)bytes);
	return qmp_send(qmp, text);
}

int qmp_fork(struct qmp *qmp, const struct qmp_fork *f)
{
	_cleanup_free_ char *text = NULL;
	json_t *fds = json_array(), *disks = json_array(), *command;
	_cleanup_free_ char *line = NULL;

	for (size_t i = 0; i < f->n_sockets; i++)
		json_array_append_new(fds, json_integer(f->sockets[i]));
	for (unsigned int i = 0; i < f->n_disks; i++)
		json_array_append_new(disks, json_sprintf("d%u", i));
	command = json_pack("{s:s, s:{s:i, s:i, s:o, s:o, s:b, s:I, s:o*}}", "execute",
		"x-arrow-fork", "arguments", "listen", f->listen, "control", f->control, "sockets",
		fds, "disks", disks, "isolate", f->isolate, "user", (json_int_t)f->user, "blocks",
		f->blocks >= 0 ? json_integer(f->blocks) : NULL);
	text = command ? json_dumps(command, JSON_COMPACT) : NULL;
	json_decref(command);
	line = text ? path_format("%s\n", text) : NULL;
	return line ? qmp_send(qmp, line) : -ENOMEM;
}

int qmp_take_over(struct qmp *qmp, int fd)
{
	memset(qmp, 0, sizeof(*qmp));
	qmp->fd = fd;
	qmp->line = malloc(QMP_LINE_MAX);
	if (!qmp->line)
		return -ENOMEM;
	return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int qmp_init(struct qmp *qmp, int fd, int incoming, enum qmp_content content)
{
	int r = qmp_take_over(qmp, fd);

	if (r < 0)
		return r;
	r = qmp_send(qmp, "{\"execute\":\"qmp_capabilities\"}\n");
	if (r == 0 && incoming >= 0) {
		char from[16];

		snprintf(from, sizeof(from), "%d", incoming);
		r = qmp_send_migrate(qmp, "migrate-incoming", from, content);
	}
	return r;
}

void qmp_ask(struct qmp *qmp)
{
	if (qmp_send(qmp, "{\"execute\":\"query-status\",\"id\":\"" ID_STATUS "\"}\n") == 0)
		qmp->asked++;
}

/* An answer, an error or the end of a migration; other events say nothing that we need. */
static void qmp_take_message(struct qmp *qmp, json_t *message)
{
	json_t *error = json_object_get(message, "error");
	const char *id = json_string_value(json_object_get(message, "id"));

	const char *event = json_string_value(json_object_get(message, "event"));

	if (event && strcmp(event, "MIGRATION") == 0) {
		json_t *data = json_object_get(message, "data");
		const char *status = json_string_value(json_object_get(data, "status"));

		if (status && strcmp(status, "completed") == 0) {
			if (qmp->saving) {
				qmp_ask_final(qmp);
			} else {
				qmp->saved = true;
				if (qmp->go_on)
					qmp_cont(qmp);
			}
		} else if (status && strcmp(status, "failed") == 0 && !qmp->error) {
			qmp->error = strdup("the migration failed");
		}
	} else if (event && (strcmp(event, "STOP") == 0 || strcmp(event, "RESUME") == 0)) {
		qmp->paused = event[0] == 'S';
	} else if (event && strcmp(event, "SHUTDOWN") == 0) {
		qmp->down = true;
	} else if (error) {
		const char *text = json_string_value(json_object_get(error, "desc"));

		free(qmp->error); /* of an event, which says less */
		qmp->error = strdup(text ? text : "unknown error");
	} else if (id && strcmp(id, ID_FINAL) == 0) {
		const char *status = json_string_value(
			json_object_get(json_object_get(message, "return"), "status"));

		/* For a moment after the last byte QEMU refuses to go on. */
		if (status && strcmp(status, "finish-migrate") == 0)
			qmp_ask_final(qmp);
		else
			qmp->saved = true;
	} else if (id && strcmp(id, ID_STATUS) == 0) {
		qmp->answered++;
	}
}

static int qmp_take_line(struct qmp *qmp, const char *line, size_t size)
{
	json_t *message = json_loadb(line, size, 0, NULL);
	bool valid = json_is_object(message);

	if (valid)
		qmp_take_message(qmp, message);
	json_decref(message);
	return valid ? 0 : -EPROTO;
}

int qmp_read(struct qmp *qmp)
{
	for (;;) {
		char *end, *start = qmp->line;
		ssize_t n = read(qmp->fd, qmp->line + qmp->used, QMP_LINE_MAX - qmp->used);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
		if (n == 0)
			return qmp->used < QMP_LINE_MAX ? -EPIPE : -EPROTO;
		qmp->used += (size_t)n;

		while ((end = memchr(start, '\n', qmp->used - (size_t)(start - qmp->line)))) {
			int r = qmp_take_line(qmp, start, (size_t)(end - start));

			if (r < 0)
				return r;
			start = end + 1;
		}
		qmp->used -= (size_t)(start - qmp->line);
		memmove(qmp->line, start, qmp->used);
	}
}

void qmp_release(struct qmp *qmp)
{
	if (qmp->fd >= 0)
		close(qmp->fd);
	free(qmp->line);
	free(qmp->error);
	memset(qmp, 0, sizeof(*qmp));
	qmp->fd = -1;
}
