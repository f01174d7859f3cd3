/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_TLS_H
#define ARROW_REGISTRY_TLS_H

/*
 * The certificates for one host, from where docker and podman read them:
 *   /etc/docker/certs.d/HOST[:PORT], /etc/containers/certs.d/HOST[:PORT] and, of an ordinary user,
 *   ~/.config/containers/certs.d/HOST[:PORT] and ~/.config/docker/certs.d/HOST[:PORT]
 *     *.crt             authorities, beside those of the system
 *     *.cert and *.key  our certificate for this host
 */

#include <stddef.h>

#include "registry/settings.h"
#include "util/error.h"

#define TLS_CERTS_DIR "/etc/docker/certs.d"

struct tls_files {
	char *authorities; /* PEM of all authorities; NULL where the system's are all; owned */
	size_t size;       /* of it */
	char *cert, *key;  /* paths of our own; both or none; owned */
};

/*
 * Reads them for "registry.example:5000".
 *   system: path of the system's authorities, or NULL
 * Errors: a file that is there and cannot be read, a certificate without its key.
 */
int tls_find(struct tls_files *files, const struct registry_settings *settings, const char *host,
	const char *system, struct arrow_error *error) ARROW_MUST_CHECK;

void tls_release(struct tls_files *files);
#define _cleanup_tls_ __attribute__((cleanup(tls_release)))

#endif
