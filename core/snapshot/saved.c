// SPDX-License-Identifier: Apache-2.0
#include "core/snapshot/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/snapshot/saved_files.h"
#include "core/spec/spec_json.h"
#include "util/checked.h"
#include "util/cleanup.h"
#include "util/digest.h"
#include "util/io.h"
#include "util/json.h"

#define JSON_MAX (65u << 20) /* of a spec, which a config.json of 64 MiB can hold */

static int saved_check_file(const struct arrow_saved *s, const json_t *about, const char *name,
	int fd, struct arrow_error *error)
{
	char hex[DIGEST_HEX];
	int r = digest_sparse(fd, hex);

	if (r < 0)
		return arrow_fail(error, -r, "cannot read %s/%s: %m", s->dir, name);
	if (strcmp(hex, json_text(json_object_get(about, "digests"), name)) != 0)
		return arrow_fail(error, EBADMSG,
			"%s/%s is damaged (its digest is not the recorded one): save the Arrow again",
			s->dir, name);
	return 0;
}

static int saved_check_files(const struct arrow_saved *s, const json_t *about, const char *text,
	const struct arrow_paths *paths, struct arrow_error *error)
{
	const int fds[] = {s->ram_fd, s->state_fd, s->root_fd, s->code_fd};
	const size_t n = s->code_fd < 0 ? 3 : 4;
	_cleanup_free_ char *line = NULL, *note = NULL;
	char key[DIGEST_HEX], digest[DIGEST_HEX];
	int r;

	if (digest_data(text, strlen(text), digest) == 0 &&
		digest_data(s->dir, strlen(s->dir), key) == 0) {
		line = checked_text(fds, n, digest);
		note = path_format("%s/saved-%.16s", paths->run, key);
	}
	if (checked_find(note, line))
		return 0;
	r = saved_check_file(s, about, "ram", s->ram_fd, error);
	if (r == 0)
		r = saved_check_file(s, about, "state", s->state_fd, error);
	if (r == 0)
		r = saved_check_file(s, about, "root", s->root_fd, error);
	if (r == 0 && s->code_fd >= 0)
		r = saved_check_file(s, about, "blocks", s->code_fd, error);
	if (r == 0)
		checked_write(note, line);
	return r;
}

/*
 * The state of a CPU and of devices is read only by what wrote it. The same program file is that;
 * another one is if it says the same version, and shows its guests the same CPU.
 */
static int saved_check_machine(struct arrow_saved *s, const json_t *about,
	const struct arrow_engine_settings *settings, const struct arrow_paths *paths,
	struct arrow_error *error)
{
	const json_t *machine = json_object_get(about, "machine");
	_cleanup_free_ char *engine =
		path_format("%s:%s", json_text(machine, "engine"), json_text(machine, "accel"));
	_cleanup_free_ char *identity = NULL, *version = NULL;
	const char *was = json_text(machine, "identity");
	int r;

	r = engine ? arrow_engine_choose(&s->choice, engine, settings, paths->run, error)
		   : arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0)
		r = saved_identity(&s->choice, &identity, error);
	if (r < 0)
		return arrow_error_prefix(error, r, "cannot restore %s", s->dir);
	if (s->choice.tsc_khz !=
			(uint32_t)json_integer_value(json_object_get(machine, "tsc_khz")) ||
		strcmp(identity + strcspn(identity, "\n"), was + strcspn(was, "\n")) != 0)
		return arrow_fail(error, ENODEV,
			"%s was saved on another CPU than this host has: restore it there, or save it again here",
			s->dir);
	if (strcmp(identity, was) == 0)
		return 0;
	r = s->choice.engine->probe(settings, &version, error);
	if (r < 0)
		return r;
	if (strcmp(version, json_text(machine, "version")) != 0)
		return arrow_fail(error, ENODEV,
			"%s was saved by %s %s, and this is %s: install that one, or save it again here",
			s->dir, s->choice.engine->name, json_text(machine, "version"), version);
	return 0;
}

/*
 * What is restored is obeyed: its memory is a kernel, its blocks are code of the VM's process. So
 * nobody may have written it but the caller and root.
 *   name: of a file in the directory, or "" for that itself
 */
static int saved_check_owner(
	const struct arrow_saved *s, const char *name, int fd, struct arrow_error *error)
{
	const char *slash = *name ? "/" : "";
	struct stat st;

	if (fstat(fd, &st) < 0)
		return arrow_fail(error, errno, "cannot read the attributes of %s%s%s: %m", s->dir,
			slash, name);
	if (*name && !S_ISREG(st.st_mode))
		return arrow_fail(
			error, EINVAL, "%s%s%s is not a regular file", s->dir, slash, name);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return arrow_fail(error, EPERM,
			"refusing to restore %s%s%s: it belongs to user %u; if you trust what is in it, make it yours with chown",
			s->dir, slash, name, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return arrow_fail(error, EPERM,
			"refusing to restore %s%s%s: other users may write to it; if you trust what is in it, use 'chmod go-w'",
			s->dir, slash, name);
	return 0;
}

static int saved_open_file(const struct arrow_saved *s, int dir, const char *name, int flags,
	int *fd, struct arrow_error *error)
{
	*fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);
	return *fd < 0 ? arrow_fail(error, errno, "cannot open %s/%s: %m", s->dir, name)
		       : saved_check_owner(s, name, *fd, error);
}

static int saved_read_about(
	const struct arrow_saved *s, int dir, char **text, struct arrow_error *error)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = openat(dir, "arrow.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 ? -errno : saved_check_owner(s, "arrow.json", fd, error);

	if (fd >= 0 && r < 0)
		return r;
	path = path_format("/proc/self/fd/%d", fd);
	r = fd < 0 ? r : path ? read_file(AT_FDCWD, path, JSON_MAX, text, NULL) : -ENOMEM;
	return r < 0 ? arrow_fail(error, -r,
			       "cannot restore from %s: cannot read its arrow.json: %m; use a directory made by 'arrow save'",
			       s->dir)
		     : 0;
}

static int saved_open_files(
	struct arrow_saved *s, char **text, const char *dir, struct arrow_error *error)
{
	_cleanup_close_ int fd = -1;
	int r;

	s->dir = realpath(dir, NULL);
	fd = s->dir ? open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return arrow_fail(error, errno, "cannot restore from %s: %m", dir);
	r = saved_check_owner(s, "", fd, error);
	if (r == 0)
		r = saved_read_about(s, fd, text, error);
	/* Never written, but an engine may open it for writing even to copy on write. */
	if (r == 0)
		r = saved_open_file(s, fd, "ram", O_RDWR, &s->ram_fd, error);
	if (r == 0)
		r = saved_open_file(s, fd, "state", O_RDONLY, &s->state_fd, error);
	if (r == 0)
		r = saved_open_file(s, fd, "root", O_RDONLY, &s->root_fd, error);
	/* Without it, it only takes longer. */
	if (r == 0 && faccessat(fd, "blocks", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		r = saved_open_file(s, fd, "blocks", O_RDONLY, &s->code_fd, error);
	return r;
}

static bool saved_is_digest(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* What no Arrow that was saved can have, but a file that somebody wrote. */
static int saved_check_spec(const struct arrow_saved *s, struct arrow_error *error)
{
	if (s->spec.files.n_volumes)
		return arrow_fail(error, EBADMSG,
			"refusing to restore %s: its arrow.json has volumes, which 'arrow save' never writes",
			s->dir);
	if (!saved_is_digest(s->image) || !saved_is_digest(s->kernel))
		return arrow_fail(error, EBADMSG,
			"%s/arrow.json is damaged (invalid id of the image or the kernel)", s->dir);
	return 0;
}

static int saved_take_cards(struct arrow_saved *s, const json_t *cards, struct arrow_error *error)
{
	size_t n = json_array_size(cards);

	if (n > NET_CARDS_MAX)
		return arrow_fail(
			error, EBADMSG, "%s/arrow.json is damaged (invalid network cards)", s->dir);
	for (s->n_nics = 0; s->n_nics < n; s->n_nics++) {
		json_int_t kind = json_integer_value(json_array_get(cards, s->n_nics));

		if (kind < ARROW_NIC_TAP || kind > ARROW_NIC_USER)
			return arrow_fail(error, EBADMSG,
				"%s/arrow.json is damaged (invalid network cards)", s->dir);
		s->nics[s->n_nics] =
			(struct arrow_nic){.kind = (enum arrow_nic_kind)kind, .fd = -1};
	}
	return 0;
}

int arrow_saved_open(struct arrow_saved *s, const struct arrow_paths *paths,
	const struct arrow_engine_settings *settings, const char *dir, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	char digest[DIGEST_HEX];
	json_t *about = NULL;
	struct stat st;
	int r;

	*s = (struct arrow_saved){.ram_fd = -1, .state_fd = -1, .code_fd = -1, .root_fd = -1};
	arrow_spec_init(&s->spec);
	r = saved_open_files(s, &text, dir, error);
	if (r == 0) {
		about = json_loads(text, 0, NULL);
		if (!json_is_object(about))
			r = arrow_fail(error, EBADMSG, "%s/arrow.json is damaged", s->dir);
		else if (saved_about_digest(about, digest) < 0 ||
			 strcmp(digest, json_text(about, "digest")) != 0)
			r = arrow_fail(error, EBADMSG,
				"%s/arrow.json is damaged (wrong digest): save the Arrow again",
				s->dir);
		else if (json_integer_value(json_object_get(about, "format")) != SAVED_FORMAT)
			r = arrow_fail(error, EINVAL,
				"%s was saved by another version of arrow: save it again", s->dir);
	}
	if (r == 0)
		r = saved_check_machine(s, about, settings, paths, error);
	if (r == 0)
		r = saved_check_files(s, about, text, paths, error);
	if (r == 0) {
		snprintf(s->image, sizeof(s->image), "%s", json_text(about, "image"));
		snprintf(s->kernel, sizeof(s->kernel), "%s", json_text(about, "kernel"));
		s->stdin_open = json_is_true(json_object_get(about, "stdin"));
		r = saved_take_cards(s, json_object_get(about, "cards"), error);
	}
	if (r == 0)
		r = arrow_spec_from_json(&s->spec, json_object_get(about, "spec"), error);
	if (r == 0)
		r = saved_check_spec(s, error);
	if (r == 0 && (fstat(s->ram_fd, &st) < 0 || (uint64_t)st.st_size != saved_memory(&s->spec)))
		r = arrow_fail(error, EBADMSG, "%s/ram is damaged (wrong size)", s->dir);
	json_decref(about);
	if (r < 0)
		arrow_saved_release(s);
	return r;
}

void arrow_saved_release(struct arrow_saved *s)
{
	if (s->dir) { /* before, nothing is open */
		close_keep_errno(s->ram_fd);
		close_keep_errno(s->state_fd);
		close_keep_errno(s->code_fd);
		close_keep_errno(s->root_fd);
	}
	free(s->dir);
	arrow_spec_release(&s->spec);
	*s = (struct arrow_saved){.ram_fd = -1, .state_fd = -1, .code_fd = -1, .root_fd = -1};
}

/* What a restored Arrow has of its own, whatever the saved one had. */
static const char *const own[] = {"hostname", "labels", "interactive", "stdin_once", "tty", "cold",
	"auto_remove", "timeout", "restart", "restart_max", "log_driver", "log_opts", "from",
	"ports", "publish_all", "ip", "ip6", "mac", "endpoints", "network_aliases", NULL};

/* What it can be given; else it has what the saved one had. */
static const char *const given[] = {"hosts", "dns", "dns_search", "dns_options", "networks",
	"restore_signal", "stop_signal", "stop_timeout", NULL};

static void saved_merge_keys(json_t *to, const json_t *from, const char *const *keys, bool clear)
{
	for (; *keys; keys++) {
		json_t *value = json_object_get(from, *keys);

		if (value)
			json_object_set(to, *keys, value);
		else if (clear)
			json_object_del(to, *keys);
	}
}

static bool saved_has_key(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (strcmp(key, *keys) == 0)
			return true;
	return false;
}

/* What is in the saved VM cannot be another now. */
static int saved_check_rest(
	const struct arrow_saved *s, json_t *anew, json_t *all, struct arrow_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach (anew, key, value) {
		if (saved_has_key(key, own) || saved_has_key(key, given) ||
			json_equal(value, json_object_get(all, key)))
			continue;
		return arrow_fail(error, EINVAL,
			"the Arrow saved in %s has its own %s, which cannot be changed: leave out that option",
			s->dir, strcmp(key, "millicpus") == 0 ? "cpus" : key);
	}
	return 0;
}

static int saved_check_streams(
	const struct arrow_spec *spec, const struct arrow_saved *s, struct arrow_error *error)
{
	if (spec->process.tty != s->spec.process.tty)
		return arrow_fail(error, EINVAL,
			s->spec.process.tty ? "the program in %s has a terminal: restore it with -t"
					    : "the program in %s has no terminal: leave out -t",
			s->dir);
	if (spec->process.interactive && !s->stdin_open)
		return arrow_fail(error, EINVAL,
			"the program saved in %s has no standard input that can be attached: leave out -i",
			s->dir);
	return 0;
}

int arrow_saved_merge(
	struct arrow_spec *spec, const struct arrow_saved *s, struct arrow_error *error)
{
	json_t *anew = arrow_spec_to_json(spec), *all = arrow_spec_to_json(&s->spec);
	struct arrow_spec merged;
	int r = saved_check_streams(spec, s, error);

	arrow_spec_init(&merged);
	if (r == 0 && (!anew || !all))
		r = arrow_fail(error, ENOMEM, "out of memory");
	if (r == 0)
		r = saved_check_rest(s, anew, all, error);
	if (r == 0) {
		saved_merge_keys(all, anew, own, true);
		saved_merge_keys(all, anew, given, false);
		r = json_object_set_new(all, "from", json_string(s->dir)) < 0
			    ? arrow_fail(error, EINVAL, "%s: its name is not UTF-8", s->dir)
			    : arrow_spec_from_json(&merged, all, error);
	}
	json_decref(anew);
	json_decref(all);
	if (r < 0) {
		arrow_spec_release(&merged);
		return r;
	}
	/* These two are not in the JSON. */
	merged.name = STEAL(spec->name);
	merged.verbose = spec->verbose;
	arrow_spec_release(spec);
	*spec = merged;
	return 0;
}
