# The mappings of libraries and of the kernel are not ours to promise, nor the gaps that it leaves.
del(.target, .capture) | .maps |= map(select(.name // "" | test("/mix$|^.heap.$|^.stack.$")) | del(.inode))
