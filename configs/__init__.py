"""The YAML groups: method, data, recipe, experiment, protocol. Installed as `ssl_zoo.configs`."""
