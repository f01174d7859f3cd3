// SPDX-License-Identifier: Apache-2.0
/* Container images as what is run: which one is meant, and what it brings to a spec. */
#include "core/spec/parse.h"
#include "core/spec/settings.h"
#include "package/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "package/annotations.h"
#include "package/image_kernel.h"
#include "image/oci/root.h"
#include "registry/launch.h"
#include "trust/policy.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"

int arrow_parse_pull(const char *text, uint32_t *pull, struct arrow_error *error)
{
	static const char *const names[] = {"missing", "always", "never"};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(text, names[i]) == 0) {
			*pull = i;
			return 0;
		}
	return arrow_fail(error, EINVAL, "--pull takes always, missing or never, not '%s'", text);
}

int arrow_parse_platform(const char *text, struct arrow_error *error)
{
	const char *host = oci_host_architecture();
	const char *arch = strncmp(text, "linux/", 6) == 0 ? text + 6 : text;
	size_t size = strcspn(arch, "/");

	/* A variant is of no account: this host runs all those of its own architecture. */
	if (strlen(host) == size && strncmp(host, arch, size) == 0)
		return 0;
	return arrow_fail(
		error, ENOTSUP, "cannot run images of %s: Arrows here are linux/%s", text, host);
}

static int merge_text(char **where, const char *text)
{
	if (*where || !text)
		return 0;
	*where = strdup(text);
	return *where ? 0 : -ENOMEM;
}

/* Puts the image's strings in front of the user's. */
static int merge_in_front(struct arrow_strings *list, char *const *v)
{
	struct arrow_strings all = {0};
	int e = arrow_strings_add_all(&all, v);

	if (e == 0)
		e = arrow_strings_add_all(&all, list->v);
	arrow_strings_release(e == 0 ? list : &all);
	if (e == 0)
		*list = all;
	return e;
}

/* Labels "key=value" of the image whose key the user did not set. */
static int merge_labels(struct arrow_strings *list, char *const *v)
{
	int e = 0;

	for (size_t i = 0; e == 0 && v && v[i]; i++) {
		size_t key = strcspn(v[i], "=") + 1;
		bool set = false;

		for (size_t k = 0; k < list->n; k++)
			set |= strncmp(list->v[k], v[i], key) == 0;
		if (!set)
			e = arrow_strings_add(list, v[i]);
	}
	return e;
}

/*
 * ENTRYPOINT and CMD by Docker's rules: arguments replace CMD, --entrypoint replaces both, and an
 * empty one leaves the arguments alone as the command. After this, the entrypoint is in args.
 */
static int merge_command(struct arrow_spec *spec, const struct oci_config *config)
{
	struct arrow_strings all = {0};
	int e = 0;

	if (!spec->process.entrypoint) {
		e = arrow_strings_add_all(&all, config->entrypoint);
		if (e == 0 && spec->process.args.n == 0)
			e = arrow_strings_add_all(&all, config->cmd);
	} else if (*spec->process.entrypoint) {
		e = arrow_strings_add(&all, spec->process.entrypoint);
	}
	if (e == 0)
		e = arrow_strings_add_all(&all, spec->process.args.v);
	if (e < 0) {
		arrow_strings_release(&all);
		return e;
	}
	arrow_strings_release(&spec->process.args);
	spec->process.args = all;
	free(STEAL(spec->process.entrypoint));
	return 0;
}

/*
 * An Arrow's root is in memory, so an anonymous volume is there already, with what the image has
 * in it. Only where the root cannot be written it takes a file system of its own.
 */
static int merge_volumes(const struct arrow_paths *paths, struct arrow_spec *spec,
	const struct oci_config *config, struct arrow_error *error)
{
	for (size_t i = 0; config->volumes && config->volumes[i]; i++) {
		const char *path = config->volumes[i];
		int e;

		if (arrow_spec_has_mount(spec, path))
			continue;
		if (spec->verbose)
			arrow_note(arrow_settings_notes(paths),
				"volume %s of the image is in memory and goes with the Arrow; keep it with -v DIR:%s",
				path, path);
		if (!spec->files.read_only)
			continue;
		e = arrow_parse_tmpfs(spec, path, error);
		if (e < 0)
			return e;
	}
	return 0;
}

/* What the command line says stays. */
static void merge_time(uint64_t *ns, int64_t from)
{
	if (!*ns && from > 0)
		*ns = (uint64_t)from;
}

static int merge_health(struct arrow_health *health, const struct oci_health *from)
{
	if (health->test.n > 0 || !from->test)
		return 0;
	merge_time(&health->interval, from->interval);
	merge_time(&health->timeout, from->timeout);
	merge_time(&health->start_period, from->start_period);
	merge_time(&health->start_interval, from->start_interval);
	if (!health->retries)
		health->retries = from->retries > INT32_MAX ? INT32_MAX : (uint32_t)from->retries;
	return arrow_strings_add_all(&health->test, from->test);
}

/* The VM that the image asks for, and when it starts again. */
static int merge_machine(
	struct arrow_spec *spec, const json_t *annotations, struct arrow_error *error)
{
	const char *memory = json_text(annotations, ARROW_ANNOTATION_MEMORY);
	const char *cpus = json_text(annotations, ARROW_ANNOTATION_CPUS);
	const char *restart = json_text(annotations, ARROW_ANNOTATION_RESTART);
	int e = 0;

	if (*memory && !spec->limits.memory_given)
		e = arrow_parse_memory(spec, memory, error);
	if (e == 0 && *cpus && !spec->limits.cpus_given)
		e = arrow_parse_cpus(spec, cpus, error);
	/* One that is removed with its end does not start again. */
	if (e == 0 && *restart && !spec->life.restart_given && !spec->life.auto_remove)
		e = arrow_parse_restart(spec, restart, error);
	return e < 0 ? arrow_error_prefix(error, e, "the image %s", spec->source.image) : 0;
}

/* As with docker, an image that names no signal of Linux is stopped by SIGTERM. */
static void merge_signal(
	const struct arrow_paths *paths, struct arrow_spec *spec, const struct oci_config *config)
{
	_cleanup_error_ struct arrow_error unknown = ARROW_ERROR_INIT;

	if (!config->stop_signal || spec->life.stop_signal)
		return;
	if (arrow_parse_signal(config->stop_signal, &spec->life.stop_signal, &unknown) < 0)
		arrow_note(arrow_settings_notes(paths),
			"the image %s: %s; it is stopped by SIGTERM", spec->source.image,
			unknown.text);
}

/* What the image brings, where the user said nothing. */
static int merge_image(const struct arrow_paths *paths, struct arrow_spec *spec,
	const struct oci_image *image, struct arrow_error *error)
{
	const struct oci_config *config = &image->config;
	const char *kernel = arrow_image_kernel_id(image);
	bool kernel_named = spec->vm.kernel != NULL;
	int e;

	if (!kernel)
		kernel = json_string_value(
			json_object_get(image->manifest.annotations, ARROW_ANNOTATION_KERNEL));

	e = merge_command(spec, config);
	if (e == 0)
		e = merge_in_front(&spec->process.env, config->env);
	if (e == 0)
		e = merge_labels(&spec->labels, config->labels);
	if (e == 0)
		e = merge_labels(&spec->net.exposed, config->ports);
	if (e == 0)
		e = merge_text(&spec->process.user, config->user);
	if (e == 0)
		e = merge_text(&spec->process.workdir, config->workdir);
	if (e == 0)
		e = merge_text(&spec->vm.kernel, kernel);
	spec->vm.kernel_of_image |= !kernel_named && spec->vm.kernel;
	if (e == 0)
		e = merge_health(&spec->life.health, &config->health);
	if (e < 0)
		return arrow_fail(error, -e, "out of memory");
	merge_signal(paths, spec, config);
	e = merge_machine(spec, image->manifest.annotations, error);
	return e < 0 ? e : merge_volumes(paths, spec, config, error);
}

static int resolve_take_image(const struct arrow_paths *paths, struct arrow_spec *spec,
	const struct oci_image *image, struct arrow_error *error)
{
	spec->source.image_digest = strdup(image->descriptor.digest);
	if (!spec->source.image_digest)
		return arrow_no_memory(error);
	spec->source.image = STEAL(spec->source.program);
	if (spec->verbose)
		arrow_note(arrow_settings_notes(paths), "%s is the image %s, %.19s",
			spec->source.image, image->name ? image->name : image->top.digest,
			spec->source.image_digest);
	return merge_image(paths, spec, image, error);
}

/* Looks for a local image. Returns 1 if it was there, 0 if not. */
static int resolve_local(
	struct arrow_spec *spec, const struct arrow_paths *paths, struct arrow_error *error)
{
	_cleanup_error_ struct arrow_error why = ARROW_ERROR_INIT;
	_cleanup_oci_image_ struct oci_image image = {0};
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	_cleanup_free_ char *path = path_format("%s/oci", paths->data);
	int e;

	/* Who has no images needs no store. */
	if (!path || access(path, F_OK) < 0)
		return 0;
	e = oci_store_open(&store, paths->data, error);
	if (e < 0)
		return e;
	e = oci_image_find(&image, &store, spec->source.program, NULL, &why);
	if (e == -ENOENT || e == -EINVAL)
		return 0;
	if (e < 0)
		return arrow_fail(error, -e, "%s", why.text);
	/* "dd" is a program before it is the beginning of an id. */
	if (!image.name && arrow_image_has_program(spec->source.program))
		return 0;
	e = resolve_take_image(paths, spec, &image, error);
	return e < 0 ? e : 1;
}

static bool is_reference(const char *text)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference reference = {0};

	return oci_reference_parse(&reference, text, &ignored) == 0;
}

static int resolve_pull(const struct arrow_spec *spec, struct arrow_error *error)
{
	int e = registry_run_pull(spec->source.program, spec->source.quiet, error);

	if (e == 0 || error->text)
		return e;
	/* arrow-registry has said why. */
	if (spec->source.pull == ARROW_PULL_ALWAYS)
		return arrow_fail(
			error, -e, "cannot run %s: it could not be pulled", spec->source.program);
	return arrow_fail(error, -e,
		"cannot run %s: no such image, and no such program here or in PATH",
		spec->source.program);
}

int arrow_spec_resolve(
	struct arrow_spec *spec, const struct arrow_paths *paths, struct arrow_error *error)
{
	const char *program = spec->source.program;
	int r = 0;

	if (!program || spec->source.rootfs || spec->source.image)
		return 0;
	if (program[0] == '.' || program[0] == '/' || !*program)
		return 0;
	if (spec->source.pull == ARROW_PULL_ALWAYS)
		r = resolve_pull(spec, error);
	if (r == 0)
		r = resolve_local(spec, paths, error);
	if (r != 0)
		return r < 0 ? r : 0;
	if (arrow_image_has_program(program)) {
		if (spec->verbose)
			arrow_note(arrow_settings_notes(paths), "%s is a program of this host",
				program);
		return 0;
	}
	if (spec->source.pull == ARROW_PULL_MISSING && is_reference(program)) {
		if (!spec->source.quiet)
			arrow_note(arrow_settings_notes(paths), "Unable to find image '%s' locally",
				program);
		r = resolve_pull(spec, error);
		if (r == 0)
			r = resolve_local(spec, paths, error);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	/* Not 127: it may have been an image, and Docker has 125 for one that is missing. */
	return arrow_fail(error, ENOENT,
		"cannot run %s: no such image, and no such program here or in PATH", program);
}

int arrow_image_from_container(struct arrow_image *image, const struct arrow_paths *paths,
	const struct arrow_spec *spec, struct arrow_error *error)
{
	_cleanup_oci_image_ struct oci_image oci = {0};
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	uint64_t begin = now_ms();
	bool made;
	int e;

	*image = (struct arrow_image){.fd = -1};
	e = oci_store_open(&store, paths->data, error);
	if (e == 0)
		e = oci_image_find(&oci, &store, spec->source.image_digest, NULL, error);
	if (e == 0)
		e = trust_check_image(paths->data, &store, &oci, spec->source.image, error);
	if (e == 0) {
		e = arrow_image_kernel_install(paths, &store, &oci, spec->vm.kernel, error);
		if (e < 0)
			return arrow_error_prefix(
				error, e, "the kernel of the image %s", spec->source.image);
	}
	if (e == 0)
		e = oci_root_open(image, paths->data, &store, &oci, spec->source.image,
			arrow_settings_image_limits(paths), &made, error);
	if (e == 0 && spec->verbose && made)
		arrow_note(arrow_settings_notes(paths), "made the root image of %s in %llu ms",
			spec->source.image, (unsigned long long)(now_ms() - begin));
	return e;
}
