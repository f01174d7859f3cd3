// SPDX-License-Identifier: Apache-2.0
#include "core/spec/spec_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

enum kind { TEXT, TEXTS, FLAG, NUMBER32, NUMBER64, PORTS, ARRAY };

struct field {
	const char *key; /* NULL ends a table */
	enum kind kind;
	size_t offset;
	/* Of an array: */
	size_t count, size; /* where its length is, and the size of one entry */
	const struct field *entry;
};

#define F(key, kind, member)                                                                       \
	{                                                                                          \
		key, kind, offsetof(struct arrow_spec, member), 0, 0, NULL                         \
	}
#define LIST(key, member, n, entry)                                                                \
	{                                                                                          \
		key, ARRAY, offsetof(struct arrow_spec, member), offsetof(struct arrow_spec, n),   \
			sizeof(*((struct arrow_spec *)0)->member), entry                           \
	}
#define E(type, kind, member)                                                                      \
	{                                                                                          \
#member, kind, offsetof(struct type, member), 0, 0, NULL                           \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, TEXT, 0, 0, 0, NULL                                                          \
	}

static const struct field volume_fields[] = {
	E(arrow_volume, TEXT, host),
	E(arrow_volume, TEXT, guest),
	E(arrow_volume, TEXT, name),
	E(arrow_volume, TEXT, subpath),
	E(arrow_volume, FLAG, anonymous),
	E(arrow_volume, FLAG, read_only),
	E(arrow_volume, FLAG, no_copy),
	E(arrow_volume, FLAG, make),
	END,
};

static const struct field tmpfs_fields[] = {
	E(arrow_tmpfs, TEXT, guest),
	E(arrow_tmpfs, TEXT, options),
	E(arrow_tmpfs, NUMBER32, flags),
	END,
};

static const struct field ulimit_fields[] = {
	E(arrow_ulimit, NUMBER32, resource),
	E(arrow_ulimit, NUMBER64, soft),
	E(arrow_ulimit, NUMBER64, hard),
	END,
};

static const struct field rate_fields[] = {
	E(arrow_rate, NUMBER32, kind),
	E(arrow_rate, TEXT, device),
	E(arrow_rate, NUMBER64, value),
	END,
};

static const struct field endpoint_fields[] = {
	E(arrow_endpoint, TEXT, network),
	E(arrow_endpoint, TEXT, ip),
	E(arrow_endpoint, TEXT, ip6),
	E(arrow_endpoint, TEXT, mac),
	E(arrow_endpoint, TEXTS, aliases),
	END,
};

/* Every field of a spec that outlives its command. The name is kept beside, as it can change. */
static const struct field fields[] = {
	F("program", TEXT, source.program),
	F("rootfs", TEXT, source.rootfs),
	F("image", TEXT, source.image),
	F("image_digest", TEXT, source.image_digest),
	F("pull", NUMBER32, source.pull),
	F("entrypoint", TEXT, process.entrypoint),
	F("args", TEXTS, process.args),
	F("hostname", TEXT, net.hostname),
	F("domainname", TEXT, net.domainname),
	F("env", TEXTS, process.env),
	F("labels", TEXTS, labels),
	F("exposed", TEXTS, net.exposed),
	F("health.test", TEXTS, life.health.test),
	F("health.interval", NUMBER64, life.health.interval),
	F("health.timeout", NUMBER64, life.health.timeout),
	F("health.start_period", NUMBER64, life.health.start_period),
	F("health.start_interval", NUMBER64, life.health.start_interval),
	F("health.retries", NUMBER32, life.health.retries),
	F("hosts", TEXTS, net.hosts),
	F("dns", TEXTS, net.dns),
	F("dns_search", TEXTS, net.dns_search),
	F("dns_options", TEXTS, net.dns_options),
	F("networks", TEXTS, net.names),
	F("network_aliases", TEXTS, net.aliases),
	F("ip", TEXT, net.ip),
	F("ip6", TEXT, net.ip6),
	F("mac", TEXT, net.mac),
	LIST("endpoints", net.endpoints, net.n_endpoints, endpoint_fields),
	F("ports", PORTS, net.ports),
	F("publish_all", FLAG, net.publish_all),
	F("sysctls", TEXTS, process.sysctls),
	F("workdir", TEXT, process.workdir),
	F("user", TEXT, process.user),
	F("groups", TEXTS, process.groups),
	LIST("volumes", files.volumes, files.n_volumes, volume_fields),
	F("volumes_from", TEXTS, files.volumes_from),
	LIST("tmpfs", files.tmpfs, files.n_tmpfs, tmpfs_fields),
	LIST("ulimits", process.ulimits, process.n_ulimits, ulimit_fields),
	F("memory", NUMBER64, limits.memory),
	F("shm_size", NUMBER64, files.shm_size),
	F("millicpus", NUMBER32, limits.millicpus),
	F("cpus_given", FLAG, limits.cpus_given),
	F("memory_swap_given", FLAG, limits.memory_swap_given),
	F("oom_kill_disable", FLAG, limits.oom_kill_disable),
	F("memory_swap", NUMBER64, limits.memory_swap),
	F("cpu_shares", NUMBER32, limits.cpu_shares),
	F("blkio_weight", NUMBER32, limits.blkio_weight),
	LIST("rates", limits.rates, limits.n_rates, rate_fields),
	F("cpuset_cpus", TEXT, limits.cpuset_cpus),
	F("pids_max", NUMBER32, limits.pids_max),
	F("oom_score_adj", NUMBER32, limits.oom_score_adj),
	F("caps", NUMBER64, process.caps),
	F("cold", FLAG, vm.cold),
	F("interactive", FLAG, process.interactive),
	F("stdin_once", FLAG, process.stdin_once),
	F("tty", FLAG, process.tty),
	F("read_only", FLAG, files.read_only),
	F("privileged", FLAG, process.privileged),
	F("no_new_privs", FLAG, process.no_new_privs),
	F("auto_remove", FLAG, life.auto_remove),
	F("timeout", NUMBER32, life.timeout),
	F("stop_signal", NUMBER32, life.stop_signal),
	F("stop_timeout", NUMBER32, life.stop_timeout),
	F("restart", NUMBER32, life.restart),
	F("restart_max", NUMBER32, life.restart_max),
	F("log_driver", TEXT, log.driver),
	F("log_opts", TEXTS, log.opts),
	F("from", TEXT, source.from),
	F("restore_signal", NUMBER32, vm.restore_signal),
	F("engine", TEXT, vm.engine),
	F("kernel", TEXT, vm.kernel),
	F("kernel_of_image", FLAG, vm.kernel_of_image),
	END,
};

static json_t *hex_json(const char *text)
{
	size_t size = strlen(text);
	_cleanup_free_ char *hex = malloc(2 * size + 1);

	if (!hex)
		return NULL;
	for (size_t i = 0; i < size; i++)
		sprintf(hex + 2 * i, "%02x", (unsigned char)text[i]);
	return json_pack("{s:s%}", "hex", hex, 2 * size);
}

static json_t *exact_json(const char *text)
{
	json_t *json = json_string(text);

	return json ? json : hex_json(text);
}

json_t *arrow_text_json(const char *text)
{
	_cleanup_free_ char *copy = text ? strdup(text) : NULL;
	json_t *json = text ? json_string(text) : json_null();

	if (json || !copy)
		return json;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(copy);
}

json_t *arrow_texts_json(const struct arrow_strings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, arrow_text_json(list->v[i]));
	return array;
}

json_t *arrow_pairs_json(const struct arrow_strings *list)
{
	json_t *object = json_object();

	for (size_t i = 0; i < list->n; i++) {
		const char *value = strchr(list->v[i], '=');
		_cleanup_free_ char *key = value ? strndup(list->v[i], (size_t)(value - list->v[i]))
						 : strdup(list->v[i]);

		if (key)
			json_object_set_new(object, key, arrow_text_json(value ? value + 1 : ""));
	}
	return object;
}

static json_t *object_to_json(
	const struct field *table, const uint8_t *object, const uint8_t *plain);

static json_t *array_to_json(const struct field *f, const uint8_t *object)
{
	size_t n = *(const size_t *)(object + f->count);
	const uint8_t *entry = *(const uint8_t *const *)(object + f->offset);
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++, entry += f->size) {
		if (json_array_append_new(array, object_to_json(f->entry, entry, NULL)) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *texts_to_json(const struct arrow_strings *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		if (json_array_append_new(array, exact_json(list->v[i])) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

/*
 * The value of a field, or JSON's null where it is what `plain` has, the object of defaults (NULL:
 * zeros). NULL when out of memory.
 */
static json_t *field_to_json(const struct field *f, const uint8_t *object, const uint8_t *plain)
{
	const void *at = object + f->offset, *def = plain ? plain + f->offset : NULL;

	switch (f->kind) {
	case TEXT:
		return *(char *const *)at ? exact_json(*(char *const *)at) : json_null();
	case TEXTS:
		return ((const struct arrow_strings *)at)->n ? texts_to_json(at) : json_null();
	case FLAG:
		return *(const bool *)at != (def && *(const bool *)def)
			       ? json_boolean(*(const bool *)at)
			       : json_null();
	case NUMBER32:
		return *(const uint32_t *)at != (def ? *(const uint32_t *)def : 0)
			       ? json_integer(*(const uint32_t *)at)
			       : json_null();
	case NUMBER64: /* as the bits of a signed number, which is all that JSON's library has */
		return *(const uint64_t *)at != (def ? *(const uint64_t *)def : 0)
			       ? json_integer((json_int_t) * (const uint64_t *)at)
			       : json_null();
	case PORTS:
		return ((const struct net_ports *)at)->n ? net_ports_json(at) : json_null();
	case ARRAY:
		return *(const size_t *)(object + f->count) ? array_to_json(f, object)
							    : json_null();
	default:
		return NULL;
	}
}

static json_t *object_to_json(
	const struct field *table, const uint8_t *object, const uint8_t *plain)
{
	json_t *json = json_object();

	for (const struct field *f = table; f->key; f++) {
		json_t *value = field_to_json(f, object, plain);

		if (json_is_null(value))
			continue;
		if (json_object_set_new(json, f->key, value) == 0)
			continue;
		json_decref(json);
		return NULL;
	}
	return json;
}

json_t *arrow_spec_to_json(const struct arrow_spec *spec)
{
	struct arrow_spec plain;

	arrow_spec_init(&plain);
	return object_to_json(fields, (const uint8_t *)spec, (const uint8_t *)&plain);
}

/* Text, exactly as it was. Returns NULL with errno: EINVAL for what is no text. */
static char *text_from_json(const json_t *json)
{
	const json_t *hex = json_object_get(json, "hex");
	const char *digits = json_string_value(hex);
	size_t size = json_string_length(hex) / 2;
	char *text;

	errno = EINVAL;
	if (json_is_string(json))
		return strdup(json_string_value(json));
	if (!digits || json_string_length(hex) % 2)
		return NULL;
	text = calloc(1, size + 1);
	for (size_t i = 0; text && i < size; i++) {
		unsigned int byte;

		if (sscanf(digits + 2 * i, "%2x", &byte) != 1 || byte == 0) {
			errno = EINVAL;
			free(text);
			return NULL;
		}
		text[i] = (char)byte;
	}
	return text;
}

static int object_from_json(
	const struct field *table, uint8_t *object, const json_t *json, const char **bad);

static int array_from_json(
	const struct field *f, uint8_t *object, const json_t *json, const char **bad)
{
	size_t n = json_array_size(json), *count = (size_t *)(object + f->count);
	uint8_t **entries = (uint8_t **)(object + f->offset);

	if (!json_is_array(json) || *entries)
		return -EINVAL;
	*entries = calloc(n + 1, f->size);
	if (!*entries)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r;

		*count = i + 1;
		r = object_from_json(
			f->entry, *entries + i * f->size, json_array_get(json, i), bad);
		if (r < 0)
			return r;
	}
	return 0;
}

static int texts_from_json(struct arrow_strings *list, const json_t *json)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(json))
		return -EINVAL;
	json_array_foreach (json, i, one) {
		_cleanup_free_ char *text = text_from_json(one);

		if (!text)
			return -errno;
		if (arrow_strings_add(list, text) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int field_from_json(
	const struct field *f, uint8_t *object, const json_t *json, const char **bad)
{
	void *at = object + f->offset;
	json_int_t n = json_integer_value(json);

	switch (f->kind) {
	case TEXT:
		free(*(char **)at);
		*(char **)at = text_from_json(json);
		return *(char **)at ? 0 : -errno;
	case TEXTS:
		return texts_from_json(at, json);
	case FLAG:
		*(bool *)at = json_is_true(json);
		return json_is_boolean(json) ? 0 : -EINVAL;
	case NUMBER32:
		if (!json_is_integer(json) || n < 0 || n > UINT32_MAX)
			return -EINVAL;
		*(uint32_t *)at = (uint32_t)n;
		return 0;
	case NUMBER64:
		*(uint64_t *)at = (uint64_t)n;
		return json_is_integer(json) ? 0 : -EINVAL;
	case PORTS:
		return net_ports_from_json(at, json);
	case ARRAY:
		return array_from_json(f, object, json, bad);
	default:
		return -EINVAL;
	}
}

static int object_from_json(
	const struct field *table, uint8_t *object, const json_t *json, const char **bad)
{
	if (!json_is_object(json))
		return -EINVAL;
	for (const struct field *f = table; f->key; f++) {
		const json_t *value = json_object_get(json, f->key);
		int r = value ? field_from_json(f, object, value, bad) : 0;

		if (r < 0) {
			*bad = f->key;
			return r;
		}
	}
	return 0;
}

int arrow_spec_from_json(struct arrow_spec *spec, const json_t *json, struct arrow_error *error)
{
	const char *bad = NULL;
	int r = object_from_json(fields, (uint8_t *)spec, json, &bad);

	if (r == -ENOMEM)
		return arrow_no_memory(error);
	if (r < 0)
		return arrow_fail(error, -r, "the stored description of an Arrow is damaged: %s",
			bad ? bad : "it is not an object");
	return 0;
}
