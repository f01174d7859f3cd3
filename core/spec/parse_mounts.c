// SPDX-License-Identifier: Apache-2.0
/* -v, --tmpfs and --mount as Docker's command line has them. */
#include "core/spec/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/text.h"

#define TMPFS_FLAGS ((uint32_t)(MS_NOEXEC | MS_NOSUID | MS_NODEV)) /* as Docker */

int arrow_spec_add_volume(
	struct arrow_spec *spec, const struct arrow_volume *like, struct arrow_error *error)
{
	struct arrow_volume *v, *volumes = realloc(spec->files.volumes,
					(spec->files.n_volumes + 1) * sizeof(*volumes));

	if (!volumes)
		return arrow_no_memory(error);
	spec->files.volumes = volumes;
	v = &volumes[spec->files.n_volumes++];
	*v = (struct arrow_volume){
		.host = like->host ? strdup(like->host) : NULL,
		.guest = strdup(like->guest),
		.name = like->name ? strdup(like->name) : NULL,
		.subpath = like->subpath ? strdup(like->subpath) : NULL,
		.anonymous = like->anonymous,
		.read_only = like->read_only,
		.no_copy = like->no_copy,
		.make = like->make,
	};
	if (!v->guest || (like->host && !v->host) || (like->name && !v->name) ||
		(like->subpath && !v->subpath) ||
		arrow_strings_add_all(&v->labels, like->labels.v) < 0 ||
		arrow_strings_add_all(&v->options, like->options.v) < 0)
		return arrow_no_memory(error);
	return 0;
}

/* What the tmpfs owns is taken over; it may lack what there was no memory for. */
static int spec_add_tmpfs(
	struct arrow_spec *spec, const struct arrow_tmpfs *t, struct arrow_error *error)
{
	struct arrow_tmpfs *list =
		realloc(spec->files.tmpfs, (spec->files.n_tmpfs + 1) * sizeof(*list));

	if (list)
		spec->files.tmpfs = list;
	if (!list || !t->guest || !t->options) {
		free(t->guest);
		free(t->options);
		return arrow_no_memory(error);
	}
	list[spec->files.n_tmpfs++] = *t;
	return 0;
}

/* As Docker: what is no path is the name of a volume. */
static bool volume_is_path(const char *source)
{
	return source[0] == '/' || source[0] == '.';
}

/* Words that say what is so anyway, for other systems, or how mounts of the host spread. */
static int volume_take_option(struct arrow_volume *v, const char *o, struct arrow_error *error)
{
	static const char *const usual[] = {"rw", "z", "Z", "private", "rprivate", "consistent",
		"cached", "delegated", "bind", "rbind"};
	static const char *const spreading[] = {"shared", "rshared", "slave", "rslave"};

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		if (strcmp(o, usual[i]) == 0)
			return 0;
	if (strcmp(o, "ro") == 0) {
		v->read_only = true;
	} else if (strcmp(o, "nocopy") == 0 && v->name) {
		v->no_copy = true;
	} else {
		for (size_t i = 0; i < sizeof(spreading) / sizeof(*spreading); i++)
			if (strcmp(o, spreading[i]) == 0)
				return arrow_fail(error, EINVAL,
					"mounts do not spread between this host and a VM, so '%s' is not supported: leave it out",
					o);
		return arrow_fail(error, EINVAL, "unknown option '%s'; use ro or rw%s", o,
			v->name ? ", or nocopy" : "");
	}
	return 0;
}

/* HOST:GUEST[:OPTIONS], NAME:GUEST[:OPTIONS], or GUEST for a new volume without a name. */
int arrow_parse_volume(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	struct arrow_volume v = {0};
	char *options = NULL, *save = NULL;
	int r = 0;

	if (!copy)
		return arrow_no_memory(error);
	v.guest = strchr(copy, ':');
	if (!v.guest) {
		v.guest = copy;
		v.name = (char *)"";
	} else {
		*v.guest++ = '\0';
		options = strchr(v.guest, ':');
		if (options)
			*options++ = '\0';
		v.make = volume_is_path(copy);
		*(v.make ? &v.host : &v.name) = copy;
	}
	if (v.guest[0] != '/' || (v.guest != copy && copy[0] == '\0'))
		return arrow_fail(error, EINVAL,
			"invalid volume '%s': write HOST:GUEST, NAME:GUEST or GUEST, with an absolute GUEST; :ro may follow",
			text);
	if (strcmp(v.guest, "/") == 0)
		return arrow_fail(error, EINVAL,
			"volume '%s': it cannot be mounted on /; use --rootfs for a root", text);
	for (char *o = options ? strtok_r(options, ",", &save) : NULL; o && r == 0;
		o = strtok_r(NULL, ",", &save))
		r = volume_take_option(&v, o, error);
	return r < 0 ? arrow_error_prefix(error, r, "invalid volume '%s'", text)
		     : arrow_spec_add_volume(spec, &v, error);
}

/* DIR[:OPTIONS], with Docker's defaults noexec,nosuid,nodev. */
int arrow_parse_tmpfs(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	static const struct {
		const char *name;
		uint32_t set, clear;
	} flags[] = {
		{"ro", MS_RDONLY, 0},
		{"rw", 0, MS_RDONLY},
		{"exec", 0, MS_NOEXEC},
		{"noexec", MS_NOEXEC, 0},
		{"suid", 0, MS_NOSUID},
		{"nosuid", MS_NOSUID, 0},
		{"dev", 0, MS_NODEV},
		{"nodev", MS_NODEV, 0},
	};
	_cleanup_free_ char *copy = strdup(text);
	struct arrow_tmpfs t = {.flags = TMPFS_FLAGS};
	char *options, *save = NULL;

	if (!copy)
		return arrow_no_memory(error);
	options = strchr(copy, ':');
	if (options)
		*options++ = '\0';
	if (copy[0] != '/' || strcmp(copy, "/") == 0)
		return arrow_fail(error, EINVAL,
			"invalid tmpfs mount '%s': write an absolute DIR or DIR:OPTIONS", text);

	t.options = strdup("");
	for (char *o = options ? strtok_r(options, ",", &save) : NULL; o && t.options;
		o = strtok_r(NULL, ",", &save)) {
		size_t i;
		char *more;

		for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
			if (strcmp(o, flags[i].name) == 0)
				break;
		if (i < sizeof(flags) / sizeof(*flags)) {
			t.flags = (t.flags & ~flags[i].clear) | flags[i].set;
			continue;
		}
		if (strncmp(o, "size=", 5) != 0 && strncmp(o, "mode=", 5) != 0 &&
			strncmp(o, "uid=", 4) != 0 && strncmp(o, "gid=", 4) != 0 &&
			strncmp(o, "nr_inodes=", 10) != 0) {
			free(t.options);
			return arrow_fail(
				error, EINVAL, "tmpfs '%s': unknown option '%s'", text, o);
		}
		more = path_format("%s%s%s", t.options, t.options[0] ? "," : "", o);
		free(t.options);
		t.options = more;
	}

	t.guest = strdup(copy);
	return spec_add_tmpfs(spec, &t, error);
}

int arrow_parse_volume_driver(struct arrow_spec *spec, const char *value, struct arrow_error *error)
{
	return *value == '\0' || strcmp(value, "local") == 0
		       ? 0
		       : arrow_fail(error, EINVAL,
				 "unknown volume driver '%s'; the only driver is local", value);
}

/* ---- --mount ---- */

enum mount_type { MOUNT_VOLUME, MOUNT_BIND, MOUNT_TMPFS };

/* What the fields of a --mount say. */
struct mount {
	enum mount_type type;
	char *source, *target, *subpath;
	const char *size, *mode;
	bool read_only, no_copy;
	struct arrow_strings labels, options; /* of a volume */
};

char *arrow_parse_next_field(char **rest)
{
	char *field = *rest, *from = field, *to = field;
	bool quoted = field && *field == '"';

	if (!field)
		return NULL;
	for (from += quoted; *from && (quoted || *from != ','); from++) {
		if (quoted && *from == '"') {
			quoted = from[1] == '"';
			from += quoted;
			if (!quoted)
				continue;
		}
		*to++ = *from;
	}
	*rest = *from == ',' ? from + 1 : NULL;
	*to = '\0';
	return field;
}

/* A key without a value is true. */
static int mount_parse_bool(const char *value, bool *truth)
{
	int yes = text_parse_bool(value);

	*truth = yes == 1;
	return yes < 0 ? yes : 0;
}

static int mount_set_type(struct mount *m, const char *value)
{
	static const char *const names[] = {"volume", "bind", "tmpfs"};

	for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(value, names[i]) == 0) {
			m->type = (enum mount_type)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Keys that change nothing here, with the only value that they can have; NULL for any. */
static bool mount_is_usual(const char *key, const char *value)
{
	static const char *const usual[][2] = {{"consistency", NULL},
		{"bind-propagation", "rprivate"}, {"bind-propagation", "private"},
		{"bind-recursive", "enabled"}, {"bind-nonrecursive", "false"},
		{"bind-nonrecursive", "0"}};

	for (size_t i = 0; i < sizeof(usual) / sizeof(*usual); i++)
		if (strcmp(key, usual[i][0]) == 0 &&
			(!usual[i][1] || strcmp(value, usual[i][1]) == 0))
			return true;
	return false;
}

static int mount_take_field(
	struct mount *m, const char *key, char *value, struct arrow_error *error)
{
	static const char *const others[] = {
		"bind-propagation", "bind-recursive", "bind-nonrecursive", "image-subpath"};
	bool *truth = strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0 ? &m->read_only
		      : strcmp(key, "volume-nocopy") == 0                    ? &m->no_copy
									     : NULL;

	if (truth)
		return mount_parse_bool(value, truth) == 0
			       ? 0
			       : arrow_fail(error, EINVAL, "%s takes true or false, not '%s'", key,
					 value);
	if (value && mount_is_usual(key, value))
		return 0;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strcmp(key, others[i]) == 0)
			return arrow_fail(error, EINVAL, "%s%s%s is not supported", key,
				value ? "=" : "", value ? value : "");
	if (!value || *value == '\0')
		return arrow_fail(error, EINVAL,
			"invalid field '%s': it must be KEY=VALUE, readonly or ro", key);
	if (strcmp(key, "type") == 0)
		return mount_set_type(m, value) == 0
			       ? 0
			       : arrow_fail(error, EINVAL,
					 "type=%s is not supported: use volume, bind or tmpfs",
					 value);
	if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0)
		m->source = value;
	else if (strcmp(key, "target") == 0 || strcmp(key, "destination") == 0 ||
		 strcmp(key, "dst") == 0)
		m->target = value;
	else if (strcmp(key, "tmpfs-size") == 0)
		m->size = value;
	else if (strcmp(key, "tmpfs-mode") == 0)
		m->mode = value;
	else if (strcmp(key, "volume-subpath") == 0)
		m->subpath = value;
	else if (strcmp(key, "volume-label") == 0)
		return arrow_strings_add(&m->labels, value) < 0 ? arrow_no_memory(error) : 0;
	else if (strcmp(key, "volume-opt") == 0)
		return arrow_strings_add(&m->options, value) < 0 ? arrow_no_memory(error) : 0;
	else if (strcmp(key, "volume-driver") == 0)
		return arrow_parse_volume_driver(NULL, value, error);
	else
		return arrow_fail(error, EINVAL, "unknown key '%s'", key);
	return 0;
}

static int mount_add_tmpfs(
	struct arrow_spec *spec, const struct mount *m, struct arrow_error *error)
{
	struct arrow_tmpfs t = {.flags = TMPFS_FLAGS | (m->read_only ? MS_RDONLY : 0)};
	uint64_t size = 0;
	int r = m->size ? arrow_parse_size(m->size, &size, error) : 0;
	char bytes[32] = "";

	if (r < 0)
		return r;
	if (m->mode && (m->mode[strspn(m->mode, "01234567")] || strlen(m->mode) > 5))
		return arrow_fail(error, EINVAL,
			"invalid tmpfs-mode '%s': write octal digits, as in 1777", m->mode);
	if (size)
		snprintf(bytes, sizeof(bytes), "size=%llu", (unsigned long long)size);
	t.guest = strdup(m->target);
	t.options = path_format("%s%s%s%s", bytes, size && m->mode ? "," : "",
		m->mode ? "mode=" : "", m->mode ? m->mode : "");
	return spec_add_tmpfs(spec, &t, error);
}

static int mount_add_volume(
	struct arrow_spec *spec, const struct mount *m, struct arrow_error *error)
{
	bool bind = m->type == MOUNT_BIND;

	return arrow_spec_add_volume(spec,
		&(struct arrow_volume){
			.host = bind ? m->source : NULL,
			.name = bind        ? NULL
				: m->source ? m->source
					    : (char *)"",
			.guest = m->target,
			.subpath = m->subpath,
			.read_only = m->read_only,
			.no_copy = m->no_copy,
			.labels = m->labels,
			.options = m->options,
		},
		error);
}

static int mount_add(struct arrow_spec *spec, const struct mount *m, struct arrow_error *error)
{
	bool volume = m->no_copy || m->subpath || m->labels.n || m->options.n;

	if (!m->target || m->target[0] != '/' || strcmp(m->target, "/") == 0)
		return arrow_fail(error, EINVAL,
			"target must be an absolute path other than /, as in target=/data");
	if (m->type != MOUNT_VOLUME && volume)
		return arrow_fail(
			error, EINVAL, "keys that begin with volume- go with type=volume only");
	if (m->type != MOUNT_TMPFS && (m->size || m->mode))
		return arrow_fail(error, EINVAL, "%s goes with type=tmpfs only",
			m->size ? "tmpfs-size" : "tmpfs-mode");
	if (m->type == MOUNT_TMPFS && m->source)
		return arrow_fail(error, EINVAL, "type=tmpfs takes no source");
	if (m->type == MOUNT_TMPFS)
		return mount_add_tmpfs(spec, m, error);
	if (m->type == MOUNT_BIND && (!m->source || (m->source[0] != '/' && m->source[0] != '.')))
		return arrow_fail(error, EINVAL,
			"source must be a path of this host that begins with '/' or '.', as in source=/srv/data");
	if (m->subpath && !m->source)
		return arrow_fail(error, EINVAL, "volume-subpath requires a source");
	return mount_add_volume(spec, m, error);
}

int arrow_parse_mount(struct arrow_spec *spec, const char *text, struct arrow_error *error)
{
	_cleanup_free_ char *copy = strdup(text);
	struct mount m = {0};
	char *rest = copy, *field;
	int r = 0;

	if (!copy)
		return arrow_no_memory(error);
	while (r == 0 && (field = arrow_parse_next_field(&rest))) {
		char *value = strchr(field, '=');

		if (value)
			*value++ = '\0';
		r = mount_take_field(&m, field, value, error);
	}
	if (r == 0)
		r = mount_add(spec, &m, error);
	arrow_strings_release(&m.labels);
	arrow_strings_release(&m.options);
	return r < 0 ? arrow_error_prefix(error, r, "invalid mount '%s'", text) : 0;
}
