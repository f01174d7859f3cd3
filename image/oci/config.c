// SPDX-License-Identifier: Apache-2.0
/*
 * Image configurations, read as leniently as docker and podman do: docs/images.md, "Odd values".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "image/oci/spec.h"
#include "util/cleanup.h"
#include "util/io.h"

#define LIST_MAX 4096u /* variables, arguments, labels, ports of one image */

/* What reading one configuration needs everywhere. */
struct reader {
	const char *what;
	struct arrow_error *error;
	int failed; /* 0, or what the first failure returned */
};

static void fail_field(struct reader *r, const char *key, const char *want)
{
	if (!r->failed)
		r->failed = arrow_fail(
			r->error, EBADMSG, "%s: the field '%s' is not %s", r->what, key, want);
}

static void fail_memory(struct reader *r)
{
	if (!r->failed)
		r->failed = arrow_no_memory(r->error);
}

/* The field of this name, in any case of letters where it is not there as it should be: as Go has
 * it. */
static json_t *find_field(const json_t *json, const char *key)
{
	json_t *exact = json_object_get(json, key), *value;
	const char *name;

	if (exact)
		return exact;
	json_object_foreach ((json_t *)(uintptr_t)json, name, value)
		if (strcasecmp(name, key) == 0)
			return value;
	return NULL;
}

/* A string; NULL where it is absent, null or empty. */
static char *read_string(struct reader *r, const json_t *json, const char *key)
{
	const json_t *value = find_field(json, key);
	char *text;

	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_string(value)) {
		fail_field(r, key, "a string");
		return NULL;
	}
	/* What goes to execve() ends at the first NUL. */
	if (strlen(json_string_value(value)) != json_string_length(value)) {
		fail_field(r, key, "a text without NUL bytes");
		return NULL;
	}
	if (json_string_length(value) == 0)
		return NULL;
	text = strdup(json_string_value(value));
	if (!text)
		fail_memory(r);
	return text;
}

static char **new_list(struct reader *r, const char *key, size_t n)
{
	char **list;

	if (n > LIST_MAX) {
		fail_field(r, key, "of 4096 entries or less");
		return NULL;
	}
	list = calloc(n + 1, sizeof(char *));
	if (!list)
		fail_memory(r);
	return list;
}

/* Where null stands for a string it is the empty one, as Go reads it. */
static bool is_text(const json_t *json)
{
	return json_is_null(json) || (json_is_string(json) && strlen(json_string_value(json)) ==
								      json_string_length(json));
}

static const char *text_of(const json_t *json)
{
	return json_is_string(json) ? json_string_value(json) : "";
}

/* A list of strings; NULL where it is absent or null. */
static char **read_list(struct reader *r, const json_t *json, const char *key)
{
	json_t *value = find_field(json, key), *one;
	char **list;
	size_t i;

	if (!value || json_is_null(value))
		return NULL;
	if (!json_is_array(value)) {
		fail_field(r, key, "a list of strings");
		return NULL;
	}
	list = new_list(r, key, json_array_size(value));
	json_array_foreach (value, i, one) {
		if (!list || r->failed)
			break;
		if (!is_text(one)) {
			fail_field(r, key, "a list of strings");
			break;
		}
		list[i] = strdup(text_of(one));
		if (!list[i])
			fail_memory(r);
	}
	return list;
}

/* A command. A lone string is one for docker, and was for old images. */
static char **read_command(struct reader *r, const json_t *json, const char *key)
{
	json_t *value = find_field(json, key);
	char **list;

	if (!json_is_string(value) || !is_text(value))
		return read_list(r, json, key);
	list = new_list(r, key, 1);
	if (list && !(list[0] = strdup(json_string_value(value))))
		fail_memory(r);
	return list;
}

/* The keys of an object, or "key=value" of one whose values are strings. */
static char **read_keys(struct reader *r, const json_t *json, const char *key, bool values)
{
	json_t *object = find_field(json, key), *value;
	const char *name;
	char **list;
	size_t i = 0;

	if (!object || json_is_null(object))
		return NULL;
	if (!json_is_object(object)) {
		fail_field(r, key, "an object");
		return NULL;
	}
	list = new_list(r, key, json_object_size(object));
	json_object_foreach (object, name, value) {
		if (!list || r->failed)
			break;
		if (values ? !is_text(value) : !json_is_object(value) && !json_is_null(value)) {
			fail_field(
				r, key, values ? "an object of strings" : "an object of objects");
			break;
		}
		list[i] = values ? path_format("%s=%s", name, text_of(value)) : strdup(name);
		if (!list[i++])
			fail_memory(r);
	}
	return list;
}

/* A number; one below 0 stands for the default, as 0 does. */
static int64_t read_count(struct reader *r, const json_t *json, const char *key)
{
	const json_t *value = find_field(json, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value)) {
		fail_field(r, key, "a whole number");
		return 0;
	}
	return json_integer_value(value) > 0 ? json_integer_value(value) : 0;
}

/* Takes the strings out of a list that are of no use. */
static void drop_strings(char **list, bool (*is_useful)(const char *text))
{
	size_t n = 0;

	for (size_t i = 0; list && list[i]; i++) {
		if (is_useful(list[i]))
			list[n++] = list[i];
		else
			free(list[i]);
	}
	if (list)
		list[n] = NULL;
}

static bool is_variable(const char *text)
{
	return text[0] != '=' && strchr(text, '=');
}

static bool is_not_empty(const char *text)
{
	return *text != '\0';
}

static bool take_port(const char **text)
{
	char *end;
	unsigned long port = strtoul(*text, &end, 10);
	bool is = **text >= '0' && **text <= '9' && port > 0 && port <= UINT16_MAX;

	*text = end;
	return is;
}

/* "80", "80-90/udp"; the protocol in any case. */
static bool is_port(const char *text)
{
	if (!take_port(&text))
		return false;
	if (*text == '-' && (text++, !take_port(&text)))
		return false;
	return !*text || strcasecmp(text, "/tcp") == 0 || strcasecmp(text, "/udp") == 0;
}

static void lower_ports(char **ports)
{
	for (size_t i = 0; ports && ports[i]; i++)
		for (char *c = ports[i]; *c; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c += 'a' - 'A';
}

/* Paths without a slash in front begin at the root. */
static void root_path(struct reader *r, char **path)
{
	char *longer;

	if (r->failed || !*path || **path == '/')
		return;
	longer = path_format("/%s", *path);
	if (!longer) {
		fail_memory(r);
		return;
	}
	free(*path);
	*path = longer;
}

/* What a check begins with; all else is no check. */
static bool is_health_test(char *const *test)
{
	return strcmp(test[0], "NONE") == 0 || strcmp(test[0], "CMD") == 0 ||
	       strcmp(test[0], "CMD-SHELL") == 0;
}

static void read_health(struct reader *r, struct oci_health *h, const json_t *json)
{
	h->test = read_list(r, json, "Test");
	h->interval = read_count(r, json, "Interval");
	h->timeout = read_count(r, json, "Timeout");
	h->start_period = read_count(r, json, "StartPeriod");
	h->start_interval = read_count(r, json, "StartInterval");
	h->retries = read_count(r, json, "Retries");
	/* An empty test inherits, and there is nothing left to inherit from. */
	if (h->test && (!h->test[0] || !is_health_test(h->test))) {
		strv_free(h->test);
		h->test = NULL;
	}
}

static void read_execution(struct reader *r, struct oci_config *c, const json_t *json)
{
	c->entrypoint = read_command(r, json, "Entrypoint");
	c->cmd = read_command(r, json, "Cmd");
	c->env = read_list(r, json, "Env");
	c->user = read_string(r, json, "User");
	c->workdir = read_string(r, json, "WorkingDir");
	c->stop_signal = read_string(r, json, "StopSignal");
	c->volumes = read_keys(r, json, "Volumes", false);
	c->ports = read_keys(r, json, "ExposedPorts", false);
	c->labels = read_keys(r, json, "Labels", true);
	read_health(r, &c->health, find_field(json, "Healthcheck"));
	/* [""] resets what a base image had. */
	if (c->entrypoint && c->entrypoint[0] && !*c->entrypoint[0] && !c->entrypoint[1]) {
		strv_free(c->entrypoint);
		c->entrypoint = NULL;
	}
	drop_strings(c->env, is_variable);
	drop_strings(c->ports, is_port);
	lower_ports(c->ports);
	drop_strings(c->volumes, is_not_empty);
	for (size_t i = 0; c->volumes && c->volumes[i]; i++)
		root_path(r, &c->volumes[i]);
	root_path(r, &c->workdir);
}

static void read_rootfs(struct reader *r, struct oci_config *c, const json_t *rootfs)
{
	json_t *ids = find_field(rootfs, "diff_ids"), *id;
	size_t n = json_array_size(ids), i;

	if (n > OCI_LAYERS_MAX) {
		if (!r->failed)
			r->failed = arrow_fail(r->error, E2BIG,
				"%s has %zu layers, more than the %u allowed", r->what, n,
				OCI_LAYERS_MAX);
		return;
	}
	c->diff_ids = calloc(n + 1, sizeof(*c->diff_ids));
	if (!c->diff_ids) {
		fail_memory(r);
		return;
	}
	json_array_foreach (ids, i, id) {
		const char *text = json_string_value(id);

		if (!text || !oci_digest_is_valid(text)) {
			fail_field(r, "rootfs.diff_ids", "a list of sha256 digests");
			return;
		}
		memcpy(c->diff_ids[i], text, OCI_DIGEST_SIZE);
		c->n_diff_ids++;
	}
}

int oci_config_parse(struct oci_config *c, const char *data, size_t size, const char *what,
	struct arrow_error *error)
{
	struct reader r = {.what = what, .error = error};
	json_error_t why;

	*c = (struct oci_config){0};
	if (size > OCI_CONFIG_MAX)
		return arrow_fail(error, E2BIG, "%s has %zu bytes, more than the %u allowed", what,
			size, OCI_CONFIG_MAX);
	c->json = json_loadb(data, size, 0, &why);
	if (!json_is_object(c->json)) {
		r.failed = arrow_fail(error, EBADMSG, "%s is not a JSON object: %s", what,
			c->json ? "it is another value" : why.text);
		oci_config_release(c);
		return r.failed;
	}
	c->platform.os = read_string(&r, c->json, "os");
	c->platform.architecture = read_string(&r, c->json, "architecture");
	c->platform.variant = read_string(&r, c->json, "variant");
	c->created = read_string(&r, c->json, "created");
	c->author = read_string(&r, c->json, "author");
	read_execution(&r, c, find_field(c->json, "config"));
	read_rootfs(&r, c, find_field(c->json, "rootfs"));
	if (r.failed < 0)
		oci_config_release(c);
	return r.failed;
}

void oci_config_release(struct oci_config *c)
{
	free(c->platform.os);
	free(c->platform.architecture);
	free(c->platform.variant);
	free(c->created);
	free(c->author);
	strv_free(c->entrypoint);
	strv_free(c->cmd);
	strv_free(c->env);
	free(c->user);
	free(c->workdir);
	free(c->stop_signal);
	strv_free(c->volumes);
	strv_free(c->ports);
	strv_free(c->labels);
	strv_free(c->health.test);
	free(c->diff_ids);
	json_decref(c->json);
	*c = (struct oci_config){0};
}
