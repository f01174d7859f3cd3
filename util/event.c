// SPDX-License-Identifier: Apache-2.0
#include "util/event.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/io.h"

/* Sets a file aside that is large enough. Whoever has its lock does, if nobody did before. */
static void event_rotate(int fd, const char *data, const char *path)
{
	_cleanup_free_ char *old = path_format("%s/" EVENT_FILE_OLD, data);
	struct stat ours, there;

	if (!old || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return;
	if (fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino)
		(void)!rename(path, old);
	flock(fd, LOCK_UN);
}

static void event_append(const char *data, const char *line, size_t size)
{
	_cleanup_free_ char *path = path_format("%s/" EVENT_FILE, data);
	_cleanup_close_ int fd = -1;
	struct stat st;
	char last;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	/* The line before was cut by a full disk: it ends here. */
	if (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 && last != '\n' &&
		write(fd, "\n", 1) != 1)
		return;
	(void)!write(fd, line, size);
	if (st.st_size + (off_t)size > EVENT_FILE_MAX)
		event_rotate(fd, data, path);
}

/* Only the name, of an event that is too long with all its labels. */
static void event_shorten(json_t *attributes)
{
	json_t *name = json_incref(json_object_get(attributes, "name"));

	json_object_clear(attributes);
	if (name)
		json_object_set_new(attributes, "name", name);
}

void event_write(
	const char *data, const char *type, const char *action, const char *id, json_t *attributes)
{
	_cleanup_free_ char *text = NULL, *line = NULL;
	/* Docker has these names of before for what it told of then. */
	bool older = strcmp(type, "network") != 0;
	json_t *from, *event;
	struct timespec now;

	if (!attributes)
		attributes = json_object();
	clock_gettime(CLOCK_REALTIME, &now);
	for (int i = 0; i < 2 && (!text || strlen(text) >= EVENT_LINE_MAX); i++) {
		if (i > 0)
			event_shorten(attributes);
		from = json_object_get(attributes, "image");
		event = json_pack("{s:s*, s:s*, s:O*, s:s, s:s, s:{s:s, s:O}, s:s, s:I, s:I}",
			"status", older ? action : NULL, "id", older ? id : NULL, "from", from,
			"Type", type, "Action", action, "Actor", "ID", id, "Attributes", attributes,
			"scope", "local", "time", (json_int_t)now.tv_sec, "timeNano",
			(json_int_t)now.tv_sec * 1000000000 + now.tv_nsec);
		free(text);
		text = event ? json_dumps(event, JSON_COMPACT) : NULL;
		json_decref(event);
		if (!text)
			break;
	}
	json_decref(attributes);
	line = text ? path_format("%s\n", text) : NULL;
	if (line && strlen(line) <= EVENT_LINE_MAX)
		event_append(data, line, strlen(line));
}
