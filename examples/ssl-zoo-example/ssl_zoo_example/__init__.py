"""One of each thing that can be added to ssl-zoo: a method, a data source, a protocol, an export format, a metric."""
