/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_INSECURE_H
#define ARROW_REGISTRY_INSECURE_H

#include <stdbool.h>

/*
 * Whether the user allows a registry without a certificate that can be verified: it is listed in
 * "insecure-registries" of /etc/docker/daemon.json, by host and port or as a network of IPv4
 * addresses, as docker has it. A file that cannot be read allows nothing.
 */
bool registry_is_insecure(const char *host);

#endif
