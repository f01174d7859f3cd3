/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_SESSION_H
#define ARROW_REGISTRY_SESSION_H

/*
 * What is known of a registry while it is spoken to. Shared by threads once it is open; each brings
 * a struct http of its own. registry/client.h opens one.
 */

#include <pthread.h>

#include "registry/credentials.h"
#include "registry/http.h"

struct registry_options {
	struct http_options http;
	bool push; /* it will be written to */
};

struct registry {
	const struct registry_options *options;
	char *host;       /* as users know it: docker.io; owned, as are all below */
	char *address;    /* what is connected to: registry-1.docker.io */
	char *base;       /* https://ADDRESS */
	char *repository; /* library/busybox; NULL for the registry itself */
	struct credentials credentials;

	pthread_mutex_t lock;    /* of what follows */
	char *authorization;     /* value of the header, or NULL */
	unsigned int generation; /* counts those */
	char *scopes;            /* that tokens are asked for, parted by spaces */
};

#endif
