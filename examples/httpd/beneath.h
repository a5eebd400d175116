/* SPDX-License-Identifier: MIT */
#ifndef HTTPD_BENEATH_H
#define HTTPD_BENEATH_H

/*
 * Opens a file below a folder and never outside of it, whatever the name says: "..", an absolute
 * name, a symbolic link that leads out, or a folder that is moved meanwhile. The kernel decides
 * (openat2(2), RESOLVE_BENEATH); where it cannot, the file is found first, and opened only when the
 * kernel says that it lies below the folder.
 */

/**
 * beneath_open() - open an existing regular file for reading
 * @root:	descriptor of the folder
 * @name:	relative to it
 * @descriptor:	set to the open file
 *
 * Return:	0
 * Errors:	-EXDEV  outside the folder
 *		-EISDIR  not a regular file
 *		those of open(2), negative
 */
int beneath_open(int root, const char *name, int *descriptor);

#endif /* HTTPD_BENEATH_H */
