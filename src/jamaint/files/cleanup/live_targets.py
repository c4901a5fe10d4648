"""Live targets: what links in a directory, or beside it, lead to, such as `current` to a release: it is in use."""

import os
import stat

from jamaint.files.access.root import Root


def live_targets(root: Root) -> dict[int, str]:
    """Return why what a link leads to stays, by inode: links right in the root and right beside it.

    A link counts that belongs to root, to us, to the root's owner or to the owner of what it leads to: nobody keeps
    what is somebody else's. It is followed only where its text stays in the directory that the root lies in.
    """
    found: dict[int, str] = {}
    _add_links(found, root, root.fd, root.path)
    try:
        above = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root.fd)
    except OSError:
        return found
    try:
        _add_links(found, root, above, os.path.dirname(root.path))
    finally:
        os.close(above)
    return found


def _add_links(found: dict[int, str], root: Root, fd: int, directory: str) -> None:
    try:
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries if entry.is_symlink()]
    except OSError:
        return
    for name in names:
        try:
            leads = os.path.normpath(os.path.join(directory, os.readlink(name, dir_fd=fd)))
            if not leads.startswith(os.path.dirname(root.path).rstrip("/") + "/") or leads == root.path:
                continue
            link, target = os.lstat(name, dir_fd=fd), os.stat(name, dir_fd=fd)
        except OSError:  # one that leads nowhere keeps nothing
            continue
        owners = {0, os.geteuid(), root.stat.st_uid, target.st_uid}
        if target.st_dev == root.stat.st_dev and stat.S_ISLNK(link.st_mode) and link.st_uid in owners:
            found.setdefault(target.st_ino, f"the link {os.path.join(directory, name)} leads to it")
