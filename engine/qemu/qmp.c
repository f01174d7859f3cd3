// SPDX-License-Identifier: Apache-2.0
#include "engine/qemu/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The id of the commands whose answer counts as a sign of life. */
#define ID_STATUS "status"

static int send_text(struct qmp *qmp, const char *text)
{
	size_t size = strlen(text);
	ssize_t n = send(qmp->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EAGAIN;
}

int qmp_init(struct qmp *qmp, int fd)
{
	memset(qmp, 0, sizeof(*qmp));
	qmp->fd = fd;
	qmp->line = malloc(QMP_LINE_MAX);
	if (!qmp->line)
		return -ENOMEM;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return send_text(qmp, "{\"execute\":\"qmp_capabilities\"}\n");
}

void qmp_ask(struct qmp *qmp)
{
	if (send_text(qmp, "{\"execute\":\"query-status\",\"id\":\"" ID_STATUS "\"}\n") == 0)
		qmp->asked++;
}

/* An answer or an error; the greeting and events say nothing that we need. */
static void take_message(struct qmp *qmp, json_t *message)
{
	json_t *error = json_object_get(message, "error");
	const char *id = json_string_value(json_object_get(message, "id"));

	if (error) {
		const char *text = json_string_value(json_object_get(error, "desc"));

		if (!qmp->error)
			qmp->error = strdup(text ? text : "unknown error");
	} else if (id && strcmp(id, ID_STATUS) == 0) {
		qmp->answered++;
	}
}

static int take_line(struct qmp *qmp, const char *line, size_t size)
{
	json_t *message = json_loadb(line, size, 0, NULL);
	bool valid = json_is_object(message);

	if (valid)
		take_message(qmp, message);
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
			int r = take_line(qmp, start, (size_t)(end - start));

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
