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

/*
 * x-ignore-shared leaves out memory that is a shared file: the template's RAM file has it already.
 * With `events` the end of a migration is told, not asked for.
 */
#define CAPABILITIES                                                                               \
	"{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":["              \
	"{\"capability\":\"x-ignore-shared\",\"state\":true},"                                     \
	"{\"capability\":\"events\",\"state\":true}]}}\n"

#define MIGRATE(command, uri)                                                                      \
	CAPABILITIES "{\"execute\":\"" command "\",\"arguments\":{\"uri\":\"fd:" uri "\"}}\n"

int qmp_save(struct qmp *qmp, int fd)
{
	/* Saving takes a descriptor that came over this socket, not one that was inherited. */
	static const char text[] = "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"}}\n";
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec part = {.iov_base = (void *)text, .iov_len = sizeof(text) - 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (sendmsg(qmp->fd, &message, MSG_NOSIGNAL) < 0)
		return -errno;
	return send_text(qmp, MIGRATE("migrate", "state"));
}

int qmp_init(struct qmp *qmp, int fd, int incoming)
{
	int r;

	memset(qmp, 0, sizeof(*qmp));
	qmp->fd = fd;
	qmp->line = malloc(QMP_LINE_MAX);
	if (!qmp->line)
		return -ENOMEM;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = send_text(qmp, "{\"execute\":\"qmp_capabilities\"}\n");
	if (r == 0 && incoming >= 0) {
		char text[512];

		snprintf(text, sizeof(text), MIGRATE("migrate-incoming", "%d"), incoming);
		r = send_text(qmp, text);
	}
	return r;
}

void qmp_ask(struct qmp *qmp)
{
	if (send_text(qmp, "{\"execute\":\"query-status\",\"id\":\"" ID_STATUS "\"}\n") == 0)
		qmp->asked++;
}

/* An answer, an error or the end of a migration; other events say nothing that we need. */
static void take_message(struct qmp *qmp, json_t *message)
{
	json_t *error = json_object_get(message, "error");
	const char *id = json_string_value(json_object_get(message, "id"));

	const char *event = json_string_value(json_object_get(message, "event"));

	if (event && strcmp(event, "MIGRATION") == 0) {
		json_t *data = json_object_get(message, "data");
		const char *status = json_string_value(json_object_get(data, "status"));

		if (status && strcmp(status, "completed") == 0)
			qmp->saved = true;
		else if (status && strcmp(status, "failed") == 0 && !qmp->error)
			qmp->error = strdup("the migration failed");
	} else if (error) {
		const char *text = json_string_value(json_object_get(error, "desc"));

		free(qmp->error); /* of an event, which says less */
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
