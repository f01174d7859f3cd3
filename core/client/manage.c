// SPDX-License-Identifier: Apache-2.0
#include "core/client/manage.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/client/client.h"
#include "core/control/control.h"
#include "core/instance/event.h"
#include "core/instance/instance.h"
#include "net/lease.h"
#include "core/spec/settings.h"
#include "core/spec/parse.h"
#include "util/cleanup.h"
#include "util/io.h"

#define ANSWER_MS 30000u /* for what a keeper answers at once */
#define END_MS 120000u   /* for the end of a killed Arrow, on a slow machine */

static int manage_open(struct arrow_instance *i, const struct arrow_paths *paths, const char *name,
	struct arrow_spec *spec, struct arrow_error *error)
{
	char id[ARROW_ID_HEX];
	int r;

	memset(i, 0, sizeof(*i));
	i->dir_fd = i->lock_fd = -1;
	if (spec)
		arrow_spec_init(spec);
	r = arrow_instance_find(paths, name, id, error);
	return r < 0 ? r : arrow_instance_open(i, paths, id, spec, error);
}

/* Waits until nobody keeps it any more: only then can it be started or removed. */
static int manage_wait_free(const struct arrow_instance *i, struct arrow_error *error)
{
	uint64_t end = now_ms() + END_MS;

	while (arrow_instance_is_kept(i)) {
		if (now_ms() >= end)
			return arrow_fail(error, ETIMEDOUT, "Arrow %s does not end", i->name);
		usleep(2000);
	}
	return 0;
}

static int manage_ask_stop(const struct arrow_instance *i, uint16_t request, uint32_t signal,
	uint32_t seconds, const struct arrow_spec *spec, struct arrow_error *error)
{
	uint8_t payload[ARROW_STOP_BYTES];
	int r;

	if (seconds == ARROW_OWN_TIMEOUT)
		seconds = spec->life.stop_timeout;
	arrow_stop_encode(payload, &(struct arrow_stop_request){signal, seconds});
	r = control_ask(i, request, payload, sizeof(payload), 0, NULL, error);
	if (r == -ESRCH) { /* it ended just now, or never ran */
		arrow_error_clear(error);
		r = 1;
	}
	return r;
}

int arrow_stop(const struct arrow_paths *paths, const char *name, uint32_t signal, uint32_t seconds,
	struct arrow_error *error)
{
	struct arrow_instance i;
	struct arrow_spec spec;
	int r = manage_open(&i, paths, name, &spec, error);

	if (r == 0 && arrow_instance_is_kept(&i)) {
		r = manage_ask_stop(&i, ARROW_STOP, signal, seconds, &spec, error);
		if (r >= 0)
			r = manage_wait_free(&i, error);
	}
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	return r < 0 ? r : 0;
}

int arrow_restart_kept(const struct arrow_paths *paths, const char *name, uint32_t signal,
	uint32_t seconds, struct arrow_error *error)
{
	struct arrow_instance i;
	struct arrow_spec spec;
	int r = manage_open(&i, paths, name, &spec, error);

	if (r == 0) {
		r = arrow_instance_is_kept(&i)
			    ? manage_ask_stop(&i, ARROW_RESTART, signal, seconds, &spec, error)
			    : 1;
		if (r == 1 && manage_wait_free(&i, error) < 0)
			r = -ETIMEDOUT;
	}
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	return r;
}

int arrow_kill(const struct arrow_paths *paths, const char *name, uint32_t signal,
	struct arrow_error *error)
{
	uint8_t payload[ARROW_NUMBER_BYTES];
	struct arrow_instance i;
	int r = manage_open(&i, paths, name, NULL, error);

	arrow_number_encode(payload, signal);
	if (r == 0)
		r = control_ask(&i, ARROW_KILL, payload, sizeof(payload), ANSWER_MS, NULL, error);
	if (r == 0 && signal == SIGKILL)
		r = manage_wait_free(&i, error);
	arrow_instance_release(&i);
	return r;
}

int arrow_pause(
	const struct arrow_paths *paths, const char *name, bool pause, struct arrow_error *error)
{
	struct arrow_instance i;
	int r = manage_open(&i, paths, name, NULL, error);

	if (r == 0) {
		r = control_ask(&i, pause ? ARROW_PAUSE : ARROW_UNPAUSE, NULL, 0, 2 * ANSWER_MS,
			NULL, error);
		if (r < 0)
			r = arrow_error_prefix(error, r, "cannot %s Arrow %s",
				pause ? "pause" : "unpause", i.name);
	}
	arrow_instance_release(&i);
	return r;
}

/* Whoever holds the lock of one that does not run has it for a moment only. */
static int manage_kill_and_lock(struct arrow_instance *i, struct arrow_error *error)
{
	uint8_t payload[ARROW_STOP_BYTES];
	uint64_t end = now_ms() + END_MS;
	int r;

	arrow_stop_encode(payload, &(struct arrow_stop_request){.signal = SIGKILL});
	while ((r = arrow_instance_lock(i)) == -EBUSY && now_ms() < end) {
		_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;

		if (control_ask(i, ARROW_STOP, payload, sizeof(payload), END_MS, NULL, &ignored) <
			0)
			usleep(2000);
	}
	if (r == -EBUSY)
		return arrow_fail(error, EBUSY, "Arrow %s does not end", i->name);
	if (r == -ENOENT)
		return arrow_fail_status(error, 1, ENOENT, "no such Arrow: %s", i->id);
	return r < 0 ? arrow_fail(error, -r, "cannot lock %s: %m", i->dir) : 0;
}

int arrow_remove(const struct arrow_paths *paths, const char *name, bool force, bool volumes,
	struct arrow_error *error)
{
	struct arrow_instance i;
	char id[ARROW_ID_HEX];
	int r = arrow_instance_find(paths, name, id, error);

	if (r < 0)
		return r;
	r = arrow_instance_open(&i, paths, id, NULL, error);
	if (r == -EINVAL && force) { /* damaged: nothing can be known of it but its folder */
		arrow_error_clear(error);
		return arrow_instance_discard(paths, id, error);
	}
	if (r == -ENOENT && force) { /* somebody else removed it just now */
		arrow_error_clear(error);
		return 0;
	}
	if (r < 0)
		return r;
	if (force) {
		r = manage_kill_and_lock(&i, error);
	} else {
		r = arrow_instance_lock_wait(&i, error);
		if (r == -EBUSY) {
			arrow_error_clear(error);
			r = arrow_fail_status(error, 1, EBUSY,
				"Arrow %s is running: stop it first, or remove it with -f", name);
		}
	}
	if (r == 0)
		arrow_instance_remove(&i, volumes);
	else
		arrow_instance_release(&i);
	if (r == -ENOENT && (force || error->text)) { /* --rm, or somebody else, was faster */
		arrow_error_clear(error);
		r = 0;
	}
	return r;
}

/* Reads until the keeper tells the end of the run, or is gone. Returns 1 with a status, or 0. */
static int manage_read_end(int fd, int *status)
{
	struct channel c;
	struct arrow_exited exited;
	struct arrow_failed failed;
	struct arrow_frame f;
	const uint8_t *p;
	int r = channel_init(&c, fd), filled = 0;

	while (r == 0 && filled == 0) {
		struct pollfd waiting = {c.fd, POLLIN, 0};

		if (poll(&waiting, 1, -1) < 0)
			continue;
		filled = channel_fill(&c);
		while (r == 0 && channel_next(&c, &f, &p) == 1) {
			if (f.stream != ARROW_CONTROL)
				continue;
			if (f.type == ARROW_FAILED &&
				arrow_failed_decode(p, f.length, &failed) == 0) {
				*status = (int)failed.status;
				r = 1;
			} else if (f.type == ARROW_EXITED &&
				   arrow_exited_decode(p, f.length, &exited) == 0 &&
				   exited.process == 1) {
				*status = arrow_exited_status(&exited);
				r = 1;
			}
		}
	}
	channel_release(&c);
	return r > 0;
}

int arrow_wait(
	const struct arrow_paths *paths, const char *name, int *status, struct arrow_error *error)
{
	struct arrow_instance i;
	int r = manage_open(&i, paths, name, NULL, error), fd;
	bool told = false;

	if (r == 0 && arrow_instance_is_kept(&i)) {
		fd = control_connect(&i, error);
		if (fd >= 0)
			told = manage_read_end(fd, status);
		else if (fd == -ESRCH)
			arrow_error_clear(error);
		else
			r = fd;
	}
	if (r == 0 && !told) {
		/* What it left on disk, once whoever writes there is done. */
		r = access(i.dir, F_OK) == 0 ? manage_wait_free(&i, error) : 0;
		arrow_instance_refresh(&i);
		*status = i.state.exit_code;
	}
	arrow_instance_release(&i);
	return r;
}

int arrow_rename(const struct arrow_paths *paths, const char *name, const char *new_name,
	struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct arrow_instance i;
	int r = arrow_parse_name(new_name, error);

	if (r < 0)
		return r;
	r = manage_open(&i, paths, name, NULL, error);
	if (r == 0)
		r = arrow_instance_rename(&i, paths, new_name, error);
	/* What runs is called so at once, on all its networks, or it keeps its name. */
	if (r == 0) {
		r = net_lease_rename(paths, i.id, new_name, error);
		if (r < 0)
			(void)!arrow_instance_rename(&i, paths, i.name, &ignored);
	}
	arrow_instance_release(&i);
	return r;
}

int arrow_attach(const struct arrow_paths *paths, const char *name, const struct arrow_attach *how,
	int *status, struct arrow_error *error)
{
	struct arrow_instance i;
	struct arrow_spec spec;
	struct client_options options = {.spec = &spec,
		.process = 1,
		.input = how->input,
		.output = how->output,
		.proxy = how->proxy,
		.detach_keys = how->detach_keys,
		.take_signals = how->take_signals,
		.notes = arrow_settings_notes(paths)};
	bool detached;
	int r = manage_open(&i, paths, name, &spec, error), fd = -1;

	if (r == 0) {
		fd = control_connect(&i, error);
		if (fd == -ESRCH) {
			arrow_error_clear(error);
			r = arrow_fail_status(error, 1, ESRCH,
				"Arrow %s does not run: start it first, with 'arrow start'", name);
		} else if (fd < 0) {
			r = fd;
		}
	}
	if (r == 0) {
		options.attach = true;
		r = client_run(fd, &options, status, &detached, error);
	}
	arrow_instance_release(&i);
	arrow_spec_release(&spec);
	return r;
}

void arrow_event_named(const struct arrow_paths *paths, const char *name, const char *action)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct arrow_instance i;

	if (manage_open(&i, paths, name, NULL, &ignored) == 0)
		arrow_event(&i, action, NULL);
	arrow_instance_release(&i);
}
