// SPDX-License-Identifier: Apache-2.0
#include "registry/insecure.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

#define DAEMON_JSON "/etc/docker/daemon.json"
#define FILE_MAX (1u << 20)

/* 10.0.0.0/8 holds 10.1.2.3:5000. */
static bool in_network(const char *network, const char *host)
{
	const char *slash = strchr(network, '/');
	_cleanup_free_ char *base = slash ? strndup(network, (size_t)(slash - network)) : NULL;
	_cleanup_free_ char *address = strndup(host, strcspn(host, ":"));
	struct in_addr a, b;
	char *end;
	unsigned long bits;
	uint32_t mask;

	if (!base || !address || inet_pton(AF_INET, base, &a) != 1 ||
		inet_pton(AF_INET, address, &b) != 1)
		return false;
	bits = strtoul(slash + 1, &end, 10);
	if (*end || end == slash + 1 || bits > 32)
		return false;
	mask = bits ? htonl(UINT32_MAX << (32 - bits)) : 0;
	return (a.s_addr & mask) == (b.s_addr & mask);
}

bool registry_is_insecure(const char *host)
{
	_cleanup_free_ char *text = NULL;
	json_t *file, *one;
	bool found = false;
	size_t size, i;

	if (read_file(AT_FDCWD, DAEMON_JSON, FILE_MAX, &text, &size) < 0)
		return false;
	file = json_loadb(text, size, 0, NULL);
	json_array_foreach (json_object_get(file, "insecure-registries"), i, one) {
		const char *name = json_string_value(one);

		found |= name && (strcmp(name, host) == 0 || in_network(name, host));
	}
	json_decref(file);
	return found;
}
