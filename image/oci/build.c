// SPDX-License-Identifier: Apache-2.0
#include "image/oci/build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

void oci_layer_release(struct oci_layer *layer)
{
	oci_descriptor_release(&layer->blob);
	*layer = (struct oci_layer){0};
}

static void set_list(json_t *object, const char *key, char *const *list)
{
	json_t *array;

	if (!list || !list[0])
		return;
	array = json_array();
	for (size_t i = 0; list[i]; i++)
		json_array_append_new(array, json_string(list[i]));
	json_object_set_new(object, key, array);
}

/* {"a": {}, "b": {}} */
static void set_keys(json_t *object, const char *key, char *const *list)
{
	json_t *keys;

	if (!list || !list[0])
		return;
	keys = json_object();
	for (size_t i = 0; list[i]; i++)
		json_object_set_new(keys, list[i], json_object());
	json_object_set_new(object, key, keys);
}

/* Strings "key=value" as an object. */
static void set_pairs(json_t *object, const char *name, char *const *list)
{
	json_t *labels;

	if (!list || !list[0])
		return;
	labels = json_object();
	for (size_t i = 0; list[i]; i++) {
		const char *equal = strchr(list[i], '=');
		_cleanup_free_ char *key =
			strndup(list[i], equal ? (size_t)(equal - list[i]) : strlen(list[i]));

		if (key)
			json_object_set_new(labels, key, json_string(equal ? equal + 1 : ""));
	}
	json_object_set_new(object, name, labels);
}

static void set_text(json_t *object, const char *key, const char *text)
{
	if (text)
		json_object_set_new(object, key, json_string(text));
}

static char *config_text(const struct oci_recipe *r)
{
	json_t *execution = json_object(), *diff_ids = json_array(), *history = json_array();
	json_t *config;
	char created[TIME_TEXT], *text;

	time_text((time_t)r->created, created);
	set_list(execution, "Entrypoint", r->entrypoint);
	set_list(execution, "Cmd", r->cmd);
	set_list(execution, "Env", r->env);
	set_keys(execution, "Volumes", r->volumes);
	set_keys(execution, "ExposedPorts", r->ports);
	set_pairs(execution, "Labels", r->labels);
	set_text(execution, "User", r->user);
	set_text(execution, "WorkingDir", r->workdir);
	set_text(execution, "StopSignal", r->stop_signal);
	if (r->base) {
		json_array_append_new(diff_ids, json_string(r->base->diff_id));
		json_array_append_new(history, json_pack("{s:s, s:s}", "created", created,
						       "created_by", r->base_created_by));
	}
	json_array_append_new(diff_ids, json_string(r->layer->diff_id));
	json_array_append_new(history, json_pack("{s:s, s:s, s:s*}", "created", created,
					       "created_by", r->created_by, "comment", r->comment));
	config = json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:o}, s:o}", "created", created,
		"architecture", oci_host_architecture(), "os", "linux", "config", execution,
		"rootfs", "type", "layers", "diff_ids", diff_ids, "history", history);
	text = config ? json_dumps(config, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(config);
	return text;
}

static char *manifest_text(const struct oci_recipe *r, const struct oci_descriptor *config)
{
	json_t *layers = json_array(), *manifest;
	char *text;

	if (r->base)
		json_array_append_new(layers, oci_descriptor_json(&r->base->blob));
	json_array_append_new(layers, oci_descriptor_json(&r->layer->blob));
	manifest = json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
		OCI_TYPE_MANIFEST, "config", oci_descriptor_json(config), "layers", layers);
	set_pairs(manifest, "annotations", r->annotations);
	text = manifest ? json_dumps(manifest, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(manifest);
	return text;
}

/* JSON has no place for bytes that are not UTF-8, and jansson drops them silently. */
static int check_texts(const struct oci_recipe *r, struct arrow_error *error)
{
	char *const *const lists[] = {
		r->entrypoint, r->cmd, r->env, r->volumes, r->ports, r->labels, r->annotations};
	const char *const texts[] = {
		r->user, r->workdir, r->stop_signal, r->created_by, r->comment};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists) + sizeof(texts) / sizeof(*texts);
		i++) {
		size_t n_lists = sizeof(lists) / sizeof(*lists);

		for (size_t k = 0;; k++) {
			const char *text;
			json_t *json;

			if (i >= n_lists && k > 0)
				break;
			text = i >= n_lists ? texts[i - n_lists] : lists[i] ? lists[i][k] : NULL;
			if (!text)
				break;
			json = json_string(text);
			if (!json)
				return arrow_fail(error, EILSEQ,
					"'%.64s' is not valid UTF-8, which images require", text);
			json_decref(json);
		}
	}
	return 0;
}

int oci_image_build(const struct oci_store *store, const struct oci_recipe *r,
	struct oci_descriptor *manifest, struct arrow_error *error)
{
	_cleanup_descriptor_ struct oci_descriptor config = {0};
	_cleanup_config_ struct oci_config check = {0};
	_cleanup_free_ char *text = NULL, *outer = NULL;
	int e = check_texts(r, error);

	if (e < 0)
		return e;
	text = config_text(r);
	if (!text)
		return arrow_no_memory(error);
	/* What would not be taken back is not made. */
	e = oci_config_parse(&check, text, strlen(text), "the image to make", error);
	if (e == 0)
		e = oci_blob_put(store, OCI_TYPE_CONFIG, text, strlen(text), NULL, &config, error);
	if (e < 0)
		return e;
	outer = manifest_text(r, &config);
	if (!outer)
		return arrow_no_memory(error);
	return oci_blob_put(store, OCI_TYPE_MANIFEST, outer, strlen(outer), NULL, manifest, error);
}
