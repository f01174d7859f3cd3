/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_CREDENTIALS_H
#define ARROW_REGISTRY_CREDENTIALS_H

/*
 * Who we are for a registry, as docker and podman keep it: ~/.docker/config.json and
 * containers-auth.json(5), with their credential helpers (programs docker-credential-NAME).
 *
 * Files, the first that knows the registry counts:
 *   $REGISTRY_AUTH_FILE alone, where it is set; else
 *   $DOCKER_CONFIG/config.json, or ~/.docker/config.json
 *   $XDG_RUNTIME_DIR/containers/auth.json, or /run/containers/UID/auth.json
 *   $XDG_CONFIG_HOME/containers/auth.json, or ~/.config/containers/auth.json
 */

#include <stdbool.h>
#include <stddef.h>

#include "registry/settings.h"
#include "util/error.h"

#define CREDENTIALS_DOCKER_HUB "https://index.docker.io/v1/"

struct credentials {
	char *username; /* owned; NULL where nobody is logged in */
	char *password; /* owned; NULL with an identity token */
	char *token;    /* owned; an identity token (an OAuth 2 refresh token), or NULL */
	char *source;   /* owned; where they come from, for people; NULL where there are none */
};

void credentials_release(struct credentials *c);
#define _cleanup_credentials_ __attribute__((cleanup(credentials_release)))

/*
 * What a file says of a registry.
 *   text, size: the file
 *   host:       "registry.example:5000", or "docker.io"
 *   repository: "team/app"; keys such as registry.example/team count for what is below; or NULL
 *   helper:     set to the name of the helper to ask instead, owned by the caller; else NULL
 * Returns 1 if it knows the registry (by itself or by a helper), 0 if not, -EINVAL if it is not
 * such a file, or -ENOMEM.
 */
int credentials_parse(struct credentials *c, const char *text, size_t size, const char *host,
	const char *repository, char **helper) ARROW_MUST_CHECK;

/*
 * Reads what a helper answered to "get". Returns 1, 0 if it has none, -EINVAL, or -ENOMEM.
 */
int credentials_parse_helper(struct credentials *c, const char *text, size_t size) ARROW_MUST_CHECK;

/*
 * Looks them up. Finding none is a success that leaves username and token NULL.
 * Errors: a file that is not JSON or cannot be read, a helper that is not installed or fails.
 */
int credentials_find(struct credentials *c, const struct registry_settings *settings,
	const char *host, const char *repository, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Writes them where `docker login` would: by the helper that the file names, else into the file
 * (auth_file of the settings, or docker's config.json), which keeps all else it holds and is for
 * its owner alone. where: set to what was written, for people; owned by the caller plain: set to
 * whether that is a file that holds the password as it is
 */
int credentials_store(const struct credentials *c, const struct registry_settings *settings,
	const char *host, char **where, bool *plain, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Forgets them, in every file and helper that is looked into. *n is the number of places that
 * knew any. Errors: a file that cannot be written.
 */
int credentials_erase(const struct registry_settings *settings, const char *host, unsigned int *n,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
