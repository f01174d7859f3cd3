// SPDX-License-Identifier: Apache-2.0
#include "core/instance/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/spec/spec_json.h"
#include "util/cleanup.h"

#define STATE_FILE "state.json"
#define NEXT_FILE "state.next"       /* beside, before it is renamed */
#define RESERVE_FILE "state.reserve" /* blocks of the disk that are ours already */
#define RESERVE_SIZE 4096
#define STATE_MAX (1u << 20)

static const char *const lives[] = {
	"created", "running", "paused", "restarting", "exited", "dead", NULL};

const char *arrow_life_text(enum arrow_life life)
{
	return lives[life];
}

bool arrow_life_active(enum arrow_life life)
{
	return life == ARROW_LIFE_RUNNING || life == ARROW_LIFE_PAUSED ||
	       life == ARROW_LIFE_RESTARTING;
}

json_t *arrow_state_json(const struct arrow_state *s)
{
	json_t *o = json_pack("{s:s, s:i, s:i, s:i, s:b, s:b, s:I, s:s, s:s, s:s, s:s, s:s, s:s}",
		"status", lives[s->life], "keeper_pid", s->keeper_pid, "vm_pid", s->vm_pid,
		"exit_code", s->exit_code, "oom_killed", s->oom, "manual_stop", s->manual_stop,
		"restarts", (json_int_t)s->restarts, "started", s->started, "finished", s->finished,
		"engine", s->engine, "accel", s->accel, "kernel", s->kernel, "image", s->image);

	if (o && s->stdin_closed)
		json_object_set_new(o, "stdin_closed", json_true());
	if (o && s->error[0])
		json_object_set_new(o, "error", arrow_text_json(s->error));
	if (o && s->health[0])
		json_object_set_new(o, "health", json_string(s->health));
	if (o && s->health[0])
		json_object_set_new(o, "health_failures", json_integer(s->health_failures));
	if (o && s->health_log)
		json_object_set(o, "health_log", s->health_log);
	if (o && s->network)
		json_object_set(o, "network", s->network);
	if (o && s->cache[0])
		json_object_set_new(o, "cache", json_string(s->cache));
	if (o && s->cards)
		json_object_set_new(o, "cards", json_integer(s->cards));
	return o;
}

static void state_read_text(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	snprintf(to, size, "%s", text ? text : "");
}

static int state_read_number(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n < 0 || n > INT32_MAX ? 0 : (int)n;
}

/* Reads a state file, whose JSON is owned by the caller: NULL where there is none yet. */
static int state_load(int dir_fd, const char *path, enum arrow_life *life, json_t **json)
{
	_cleanup_free_ char *text = NULL;
	int r = read_file(dir_fd, path, STATE_MAX, &text, NULL), n = 0;
	const char *status;
	json_t *o;

	*life = ARROW_LIFE_CREATED;
	*json = NULL;
	if (r == -ENOENT)
		return 0;
	o = r < 0 ? NULL : json_loads(text, 0, NULL);
	status = json_string_value(json_object_get(o, "status"));
	while (status && lives[n] && strcmp(lives[n], status) != 0)
		n++;
	if (!status || !lives[n]) {
		json_decref(o);
		*life = ARROW_LIFE_DEAD;
		return r < 0 ? r : -EINVAL;
	}
	*life = (enum arrow_life)n;
	*json = o;
	return 0;
}

enum arrow_life arrow_state_read_life(const char *dir)
{
	_cleanup_free_ char *path = path_format("%s/" STATE_FILE, dir);
	enum arrow_life life = ARROW_LIFE_DEAD;
	json_t *o = NULL;

	if (path)
		(void)!state_load(AT_FDCWD, path, &life, &o);
	json_decref(o);
	return life;
}

int arrow_state_read(int dir_fd, struct arrow_state *s)
{
	json_t *o;
	int r;

	memset(s, 0, sizeof(*s));
	r = state_load(dir_fd, STATE_FILE, &s->life, &o);
	if (!o)
		return r;
	s->keeper_pid = state_read_number(o, "keeper_pid");
	s->vm_pid = state_read_number(o, "vm_pid");
	s->exit_code = state_read_number(o, "exit_code");
	s->oom = json_is_true(json_object_get(o, "oom_killed"));
	s->stdin_closed = json_is_true(json_object_get(o, "stdin_closed"));
	s->manual_stop = json_is_true(json_object_get(o, "manual_stop"));
	s->restarts = (uint32_t)state_read_number(o, "restarts");
	state_read_text(o, "cache", s->cache, sizeof(s->cache));
	state_read_text(o, "started", s->started, sizeof(s->started));
	state_read_text(o, "finished", s->finished, sizeof(s->finished));
	state_read_text(o, "engine", s->engine, sizeof(s->engine));
	state_read_text(o, "accel", s->accel, sizeof(s->accel));
	state_read_text(o, "kernel", s->kernel, sizeof(s->kernel));
	state_read_text(o, "image", s->image, sizeof(s->image));
	state_read_text(o, "error", s->error, sizeof(s->error));
	state_read_text(o, "health", s->health, sizeof(s->health));
	s->health_failures = (uint32_t)state_read_number(o, "health_failures");
	s->health_log = json_incref(json_object_get(o, "health_log"));
	s->network = json_incref(json_object_get(o, "network"));
	s->cards = (uint32_t)state_read_number(o, "cards");
	json_decref(o);
	return 0;
}

int arrow_state_reserve(int dir_fd)
{
	static const char zeros[RESERVE_SIZE];
	_cleanup_close_ int fd = -1;
	int r;

	if (faccessat(dir_fd, RESERVE_FILE, F_OK, 0) == 0)
		return 0;
	fd = openat(dir_fd, RESERVE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Written, not only asked for: not every file system can promise blocks. */
	r = fd < 0 ? -errno : write_full(fd, zeros, sizeof(zeros));
	if (r < 0)
		unlinkat(dir_fd, RESERVE_FILE, 0);
	return r;
}

/* Writes text to a file beside, which may be the reserve, and renames it. */
static int state_replace_file(int dir_fd, const char *file, const char *text)
{
	_cleanup_close_ int fd =
		openat(dir_fd, file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t size = strlen(text);
	int r;

	if (fd < 0)
		return -errno;
	r = write_full(fd, text, size);
	if (r == 0 &&
		(ftruncate(fd, (off_t)size) < 0 || renameat(dir_fd, file, dir_fd, STATE_FILE) < 0))
		r = -errno;
	return r;
}

static char *state_text(const struct arrow_state *s)
{
	json_t *o = arrow_state_json(s);
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;

	json_decref(o);
	return text;
}

/* Over the state that is there, whose blocks are ours already. */
static int state_overwrite(int dir_fd, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, STATE_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t size = (ssize_t)strlen(text);

	if (fd < 0)
		return -errno;
	if (pwrite(fd, text, (size_t)size, 0) != size)
		return -ENOSPC;
	return ftruncate(fd, size) < 0 ? -errno : 0;
}

int arrow_state_write(int dir_fd, const struct arrow_state *s)
{
	_cleanup_free_ char *text = state_text(s), *shorter = NULL;
	struct arrow_state plain = *s;
	int r = text ? state_replace_file(dir_fd, NEXT_FILE, text) : -ENOMEM;

	if (r == 0 || !text)
		return r;
	/* No room: the reserve, which has some, and then the room of the last state. */
	unlinkat(dir_fd, NEXT_FILE, 0);
	plain.health_log = NULL;
	shorter = state_text(&plain);
	if (!shorter)
		return -ENOMEM;
	if (faccessat(dir_fd, RESERVE_FILE, F_OK, 0) == 0 &&
		state_replace_file(dir_fd, RESERVE_FILE, shorter) == 0)
		return 0;
	return state_overwrite(dir_fd, shorter) == 0 ? 0 : r;
}

void arrow_state_release(struct arrow_state *s)
{
	json_decref(s->network);
	json_decref(s->health_log);
	s->network = s->health_log = NULL;
}
