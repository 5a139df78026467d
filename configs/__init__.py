"""The YAML groups: method, data, recipe, experiment. Installed as `ssl_zoo.configs`."""
