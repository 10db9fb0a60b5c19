"""What the JSON API takes and gives: marshmallow schemas that load frozen commands and dump domain views."""
